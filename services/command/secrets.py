"""`amends secrets`: the keys and passwords of an Amends of one's own, made once, one file each, for `…_FILE` settings.

What must stay true: what is there already is never made anew, for data is sealed under it; each process finds what it may know in a folder
of its own and nothing else there; a run that was cut off is made good by the next, since nobody starts before it is complete.
"""

import base64
import os
import re
import secrets as random
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cyclopts import Parameter

from services.command.door import Failed, Misused, app, say
from shared.contracts.flow import ALL_SERVICES
from shared.db import role_of

OWNER: Final = "amends_owner"
DATABASE: Final = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?/[A-Za-z0-9._-]+")
# Written last: the folder is complete.
COMPLETE: Final = Path("owner") / "complete"


@app.command
def secrets(folder: Path, /, *, database: Annotated[str, Parameter(name="--database")] = "localhost:5432/amends") -> None:
    """Make the secrets of all processes in a folder, where they are missing; nothing that is there is ever changed.

    A folder each for the services, for `owner` (`amends migrate`) and for `postgres` (the server's first start).

    Parameters
    ----------
    folder
        Where they go.
    database
        The database, as host:port/name.
    """
    if not DATABASE.fullmatch(database):
        # Before anything is written: what is there once is never made anew.
        raise Misused(f"{database or 'Nothing'} is no database; name it as db.example.org:5432/amends.")
    try:
        if (folder / COMPLETE).exists():
            say(f"The secrets in {folder} are complete.")
            return
        for reader, files in made(database).items():
            (folder / reader).mkdir(mode=0o700, parents=True, exist_ok=True)
            for name, text in files.items():
                # The database's server reads its password as whoever it runs as.
                _write(folder / reader / name, text, 0o444 if reader == "postgres" else 0o400)
        _write(folder / COMPLETE, "", 0o400)
    except OSError as fault:
        raise Failed(f"{folder} cannot be written ({fault}); name a folder of your own.") from fault
    say(f"The secrets in {folder} are made; keep a copy of them: without the keys what is sealed cannot be read again.")


def made(database: str) -> dict[str, dict[str, str]]:
    """Fresh secrets by reader and file name."""
    passwords = {service: random.token_hex(24) for service in ALL_SERVICES}
    owner = random.token_hex(24)
    dsns = {service: f"postgresql://{role_of(service)}:{password}@{database}" for service, password in passwords.items()}
    vault = {"master_key": _key(), "index_key": _key()}
    signing = Ed25519PrivateKey.generate()
    public = signing.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    private = signing.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    readers: dict[str, dict[str, str]] = {
        service: {"dsn": dsn, **vault, **_assertion(service, private, public)} for service, dsn in dsns.items()
    }
    return {**readers, "postgres": {"password": owner}, "owner": {"dsn": f"postgresql://{OWNER}:{owner}@{database}", **dsns}}


def _assertion(service: str, private: str, public: str) -> Mapping[str, str]:
    """The console alone can sign."""
    return {"assertion_private_key": private} if service == "console" else {"assertion_public_key": public}


def _key() -> str:
    return base64.b64encode(random.token_bytes(32)).decode()


def _write(file: Path, text: str, mode: int) -> None:
    file.unlink(missing_ok=True)
    handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
