"""The `amends` command: what people type, and nothing that decides anything. The words are in `services/command`.

Exit 0 done, 1 failed, 2 misused. Every command takes `--data DIR` and works beside a running `up` of that folder.
"""

import errno
import os
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
    said = sys.argv[1:] if words is None else words
    try:
        if garbled := [word for word in said if not is_text(word)]:
            raise Misused(f"{garbled[0]!a} is not UTF-8.")
        try:
            app(said, exit_on_error=True)
        finally:
            # Here, while what goes wrong can still be told.
            if sys.stdout is not None:
                sys.stdout.flush()
    except Misused as fault:
        tell(str(fault))
        sys.exit(2)
    except (Failed, EmbeddedError, SettingsError, TracesMisconfigured) as fault:
        tell(str(fault))
        sys.exit(1)
    except AmendsError as fault:
        faults = (
            [": ".join(filter(None, (error["pointer"], error["detail"]))) for error in fault.facts.get("errors", ())]
            if isinstance(fault, Rejected)
            else []
        )
        tell("\n".join(faults) or fault.detail)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as fault:
        if fault.errno not in (errno.EPIPE, errno.ENOSPC):
            raise
        # Whoever reads a pipe may have seen enough. What is left in the buffer must not be tried again at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if fault.errno == errno.ENOSPC:
            tell(f"What was asked for cannot be written ({fault.strerror}).")
        sys.exit(1)


def is_text(word: str) -> bool:
    """Whether a word is UTF-8: Python lets other bytes through as halves of characters, which no database takes."""
    return not any("\ud800" <= letter <= "\udfff" for letter in word)


if __name__ == "__main__":
    main()
