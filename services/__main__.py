"""The `amends` command: what people type, and nothing that decides anything. The words are in `services/command`.

Exit 0 done, 1 failed, 2 misused. Every command takes `--data DIR` and works beside a running `up` of that folder.
"""

import sys
from collections.abc import Sequence

from services.command import app
from services.command.door import Failed, Misused, tell
from shared.embedded import EmbeddedError
from shared.kernel.errors import AmendsError, Rejected
from shared.settings import SettingsError
from shared.telemetry.traces import TracesMisconfigured


def main(words: Sequence[str] | None = None) -> None:
    """The door: every failure people can do something about is one sentence."""
    try:
        app(sys.argv[1:] if words is None else words, exit_on_error=True)
    except Misused as fault:
        tell(str(fault))
        sys.exit(2)
    except (Failed, EmbeddedError, SettingsError, TracesMisconfigured) as fault:
        tell(str(fault))
        sys.exit(1)
    except AmendsError as fault:
        faults = (
            [f"{error['pointer']}: {error['detail']}" for error in fault.facts.get("errors", ())] if isinstance(fault, Rejected) else []
        )
        tell("\n".join(faults) or fault.detail)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
