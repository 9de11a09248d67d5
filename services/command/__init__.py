"""The words of the `amends` command, one module per family; `services/__main__.py` is the door that calls them.

To add a command: a function under `@app.command` (or under an `App` of its own, registered with `app.command`) in a module of this
folder, and the module's name in the import below. Parameters that every command shares stand in `door`; where the running Amends is, for
a command that works beside it, `place.beside` knows. A command raises `Failed` (exit 1) or `Misused` (exit 2) with one sentence.
"""

# importing a family registers its words
from services.command import clock, config, directory, doctor, migrate, parked, policy, replay, republish, secrets, serve, up  # noqa: F401
from services.command.door import app

__all__ = ["app"]
