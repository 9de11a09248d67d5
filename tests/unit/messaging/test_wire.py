"""Records whose headers have names that are no text, read from the bytes of a fetch as the client gets them."""

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher

from shared.messaging.wire import are_text, read_any_name, shown
from tests.support.foreign import builder_of

NAMES = [b"ce_id", b"\xff\xfe", "größe".encode(), b"half \xc3", b"traceparent"]


@pytest.mark.parametrize("compression", [0, 1], ids=["plain", "gzip"])
@pytest.mark.parametrize("begin", [0, 3])
def test_44_every_record_of_a_fetch_is_given_once_with_every_name(compression: int, begin: int) -> None:
    """Method: two batches of which the first holds odd names, read from its beginning and from its middle."""
    read_any_name()
    odd = builder_of(
        [(b"k%d" % n, b"v%d" % n, [(name, b"\xff"), (b"null", None)]) for n, name in enumerate(NAMES)], compression=compression
    )
    fine = builder_of([(b"last", b"one", [(b"ce_id", b"1")])])
    built = fine.build()
    # A batch begins at offset 0 where nobody says otherwise; the broker does.
    built[:8] = len(NAMES).to_bytes(8)
    data = bytes(odd.build()) + bytes(built)
    found = list(fetcher.PartitionRecords(TopicPartition("t", 0), fetcher.MemoryRecords(data), [], begin, None, None, False, 0))
    assert [record.offset for record in found] == list(range(begin, len(NAMES) + 1))
    expected = [(b"v%d" % n, ((name.decode("utf-8", "surrogateescape"), b"\xff"), ("null", None))) for n, name in enumerate(NAMES)]
    assert [(record.value, tuple(record.headers)) for record in found] == [*expected, (b"one", (("ce_id", b"1"),))][begin:]


def test_names_that_are_no_text_are_told_and_shown() -> None:
    odd = b"half \xc3".decode("utf-8", "surrogateescape")
    assert are_text(["ce_id", "größe"]) and not are_text(["ce_id", odd])
    assert (shown(odd), shown("größe")) == ("half \\xc3", "größe")
