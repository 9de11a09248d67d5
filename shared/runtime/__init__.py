"""The runtime: what turns the parts of services into a running process, and stops it in order.

A layer above timers and web (it starts both) and below `embedded` (which adds servers of its own). A service's `__main__.build(host)`
answers a `Service`; `Process` starts any number of them side by side, `Serving` puts their HTTP door in front.
"""

from shared.runtime.host import Host, Service
from shared.runtime.process import Process
from shared.runtime.serving import Serving

__all__ = ["Host", "Process", "Service", "Serving"]
