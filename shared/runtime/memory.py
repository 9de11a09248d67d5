"""How often Python looks for garbage in cycles: rarely, in a process that makes and drops whole batches.

Called once everything is started, by the commands that serve. A batch of five hundred events makes some hundred thousand objects which all
live until its commit; at Python's own thresholds every seven hundred of them set off a search among what is still in use.
"""

import gc
from typing import Final

# New objects before the youngest are searched; how many such searches before the next older ones are.
THRESHOLDS: Final = (20_000, 20, 20)


def collect_rarely() -> None:
    """What is there now stays for good and is not searched again; what comes is searched by the batch."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
