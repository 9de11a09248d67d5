"""`amends config`: each setting, its value, and where it came from; a secret is never shown."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from services.command.door import DEFAULT_DATA, AsJson, Data, app, say
from shared.settings import Settings, fields, is_secret, read

# What an embedded Amends makes for itself, and where it keeps it.
MADE: Final = ("AMENDS_VAULT__MASTER_KEY", "AMENDS_VAULT__INDEX_KEY")
KEYS: Final = "keys.json"
# A name and a password inside an address, and what is asked of it: a token often stands there.
_INSIDE: Final = re.compile(r"(?<=://)[^/@\s]+@")
_ASKED: Final = re.compile(r"(?<=://)([^\s?]*\?)\S+")


@app.command
def config(*, data: Data = DEFAULT_DATA, as_json: AsJson = False) -> None:
    """Each setting with its value and where it came from: the default, the environment, or a file. Secrets stay hidden."""
    rows = shown(read(with_keys=False), os.environ, data)
    if as_json:
        print(json.dumps(rows))  # noqa: T201
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        origin = row["source"] if row["file"] is None else f"file {row['file']}"
        value = "" if row["value"] is None else row["value"] if isinstance(row["value"], str) else json.dumps(row["value"])
        say(f"{row['name']:<{width}}  {value or '-'}  ({origin})")


def shown(settings: Settings, environ: Mapping[str, str], data: Path) -> list[dict[str, Any]]:
    """One row per setting: `name`, `value` (`hidden` for a secret), `source` (default, environment, file, data folder), `file`."""
    rows = []
    for name, ((part, key), field) in fields():
        value = getattr(settings, part).model_dump(mode="json")[key]
        file = environ.get(f"{name}_FILE")
        source = "environment" if name in environ else "file" if file is not None else "default"
        if name in MADE and value is None and settings.is_embedded and (data / KEYS).exists():
            value, source, file = KEYS, "data folder", str(data / KEYS)
        rows.append({"name": name, "value": _plain(value, is_secret(field)), "source": source, "file": file})
    return rows


def _plain(value: Any, hidden: bool) -> Any:
    if hidden:
        return "hidden" if value else None
    if isinstance(value, dict):
        return {name: _plain(inside, hidden) for name, inside in value.items()}
    return _ASKED.sub(r"\1hidden", _INSIDE.sub("hidden@", value)) if isinstance(value, str) else value
