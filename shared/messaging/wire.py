"""What the broker's client reads from the wire, also where the name of a header is no text.

Called by whoever makes a consumer (`read_any_name`). aiokafka decodes names in its compiled reader, before any parser of ours: a record of
another program whose header has a name that is not UTF-8 would be met again at each fetch and stop its partition for ever. Here the rest
of such a fetch is read by aiokafka's own plain reader, which is slower and lets the name be decoded our way. Invariant: no byte is lost,
for the names are decoded with `surrogateescape`.
"""

from collections.abc import Iterable
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import _DefaultRecordBatchPy
from aiokafka.record.memory_records import MemoryRecords, _MemoryRecordsPy


class _Bytes(bytearray):
    """A reader's buffer, of which any part can be read as text."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Bytes(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "surrogateescape") -> str:
        return super().decode(encoding, errors)


class _PlainBatch(_DefaultRecordBatchPy):  # type: ignore[misc]
    """A batch read in Python."""

    _buffer: bytearray

    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer = _Bytes(self._buffer)


class _PlainRecords(_MemoryRecordsPy):  # type: ignore[misc]
    """A fetch read in Python; only batches of the format that has headers get here."""

    def next_batch(self, *_: Any) -> _PlainBatch | None:
        found = self._next_slice
        if found is None:
            return None
        self._cache_next()
        return _PlainBatch(found)


class _Records(MemoryRecords):  # type: ignore[misc]
    """A fetch that can be read once more."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of one partition of a fetch, each once."""

    _records: Any

    def _unpack_records(self) -> Any:
        fetched: _Records = self._records
        try:
            yield from super()._unpack_records()
        except UnicodeDecodeError:
            # What was given out already is passed over by its offset.
            self._records = _PlainRecords(fetched.data)
            yield from super()._unpack_records()


def read_any_name() -> None:
    """From now on every consumer of this process reads such records. May be called again."""
    fetcher.MemoryRecords, fetcher.PartitionRecords = _Records, _PartitionRecords


def are_text(names: Iterable[str]) -> bool:
    """Whether these names of headers came as UTF-8."""
    try:
        "".join(names).encode()
    except UnicodeEncodeError:
        return False
    return True


def shown(name: str) -> str:
    """The name of a header for people: what is no text as `\\xff`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
