"""What is right to tell, to whom, when, in which words. Pure.

`segment`, `plain` and `reads_as` are part of the public contract.
"""

from services.notification.domain.replies import reads_as
from services.notification.domain.words import plain, segment

__all__ = ["plain", "reads_as", "segment"]
