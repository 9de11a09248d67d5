"""What a running service tells about itself: logs, metrics, traces.

Called by every room but the pure ones; knows none of them. Invariant: no patient's data leaves through here. Log fields are on an
allow-list, metric labels come from closed sets, spans carry ids only.
"""
