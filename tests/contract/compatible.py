"""Whether a listener built on an older schema of an event still understands what is written under a newer one, and the other way round.

Called by `test_schemas.py`. During an upgrade both versions run side by side, and every event ever stored is read by the newest.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from shared.contracts.envelope import Event

Schema = Mapping[str, Any]
AT: Final = datetime(2026, 11, 23, 15, 30, tzinfo=UTC)


def breaks(old: Schema, new: Schema) -> list[str]:
    """What a change from `old` to `new` would break, as sentences; fields that were added with a default break nothing."""
    return list(_breaks(old, new, old, new, ""))


def _breaks(old: Schema, new: Schema, old_root: Schema, new_root: Schema, path: str) -> Iterator[str]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    if (was := _types(old, old_root)) != (now := _types(new, new_root)) and not was <= now:
        yield f"{path or '/'} was {' or '.join(sorted(was))} and is {' or '.join(sorted(now))}"
        return
    if (was_format := old.get("format")) != (now_format := new.get("format")):
        yield f"{path or '/'} had the format {was_format} and has {now_format}"
    if "enum" in old and (gone := set(old["enum"]) - set(new.get("enum", old["enum"]))):
        yield f"{path or '/'} no longer knows {', '.join(sorted(map(str, gone)))}"
    if "const" in old and old["const"] not in (new.get("const"), *new.get("enum", ())):
        yield f"{path or '/'} no longer knows {old['const']}"
    old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
    for name in sorted(set(old_fields) - set(new_fields)):
        yield f"{path}/{name} is gone"
    for name in sorted(set(new.get("required", ())) - set(old.get("required", ()))):
        yield f"{path}/{name} is required now: stored events lack it"
    for name in sorted(set(old.get("required", ())) - set(new.get("required", ()))):
        yield f"{path}/{name} is no longer required: older listeners rely on it"
    for name in sorted(set(old_fields) & set(new_fields)):
        yield from _breaks(old_fields[name], new_fields[name], old_root, new_root, f"{path}/{name}")
    for part in ("items", "additionalProperties"):
        if isinstance(old.get(part), Mapping) and isinstance(new.get(part), Mapping):
            yield from _breaks(old[part], new[part], old_root, new_root, f"{path}/*")
    if "anyOf" in old and "anyOf" in new:
        for was_option, now_option in zip(_real(old), _real(new), strict=False):
            yield from _breaks(was_option, now_option, old_root, new_root, path)


def _resolved(schema: Schema, root: Schema) -> Schema:
    while "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return schema


def _types(schema: Schema, root: Schema) -> set[str]:
    """The JSON types a value may have."""
    schema = _resolved(schema, root)
    if "anyOf" in schema:
        return set().union(*(_types(option, root) for option in schema["anyOf"]))
    found = schema.get("type")
    if found is None and ("enum" in schema or "const" in schema):
        return {"string"}
    return {found} if isinstance(found, str) else set(found or ("anything",))


def _real(schema: Schema) -> list[Schema]:
    return [option for option in schema["anyOf"] if option.get("type") != "null"]


def schema_of(event: type[Event]) -> dict[str, Any]:
    """The JSON schema of an event as it must be to be read; descriptions and titles say nothing about compatibility and are left out."""
    bare: dict[str, Any] = _bare(event.model_json_schema(mode="validation"))
    return bare


def _bare(node: Any, is_fields: bool = False) -> Any:
    if isinstance(node, dict):
        return {
            name: _bare(value, name in ("properties", "$defs"))
            for name, value in node.items()
            if is_fields or name not in ("title", "description")
        }
    return [_bare(value) for value in node] if isinstance(node, list) else node


def example_of(event: type[Event]) -> dict[str, Any]:
    """An event with every field filled, from its schema alone: what is stored once as the example of its day."""
    root = event.model_json_schema(mode="validation")
    filled = _example(root, root, "")
    # Through the class, so that the text is what its own writer would have written.
    written: dict[str, Any] = json.loads(event.model_validate(filled).model_dump_json())
    return written


def _example(schema: Schema, root: Schema, name: str) -> Any:
    schema = _resolved(schema, root)
    if "const" in schema or "enum" in schema:
        return schema.get("const") or schema["enum"][0]
    if "anyOf" in schema:
        return _example(_real(schema)[0], root, name)
    kind = schema.get("type")
    if kind == "object":
        if "properties" in schema:
            return {field: _example(inner, root, field) for field, inner in schema["properties"].items()}
        return {"example": _example(schema.get("additionalProperties", {}), root, name)}
    if kind == "array":
        inner = schema.get("prefixItems") or [schema["items"]]
        return [_example(item, root, name) for item in inner]
    return {"integer": 3, "boolean": True, "number": "9.0"}.get(str(kind), _text(schema, name))


def _text(schema: Schema, name: str) -> str:
    formats = {
        "date-time": (AT + timedelta(minutes=len(name))).isoformat().replace("+00:00", "Z"),
        "date": AT.date().isoformat(),
        "uuid": str(UUID(int=0x0199_0000_0000_7000_8000_0000_0000_0000 + len(name))),
    }
    return formats.get(str(schema.get("format")), "12.5" if "pattern" in schema else f"{name}-1")
