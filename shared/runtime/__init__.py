"""The runtime: what turns the parts of services into a running process, and stops it in order.

A layer above timers and web (it starts both) and below `embedded` (which adds servers of its own). A service's `__main__.build(host)`
answers a `Service`; `Process` starts any number of them side by side.
"""

from shared.runtime.host import Host, Service
from shared.runtime.process import Process

__all__ = ["Host", "Process", "Service"]
