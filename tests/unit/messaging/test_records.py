"""Whatever the bytes, reading a record answers a fact or says why not, and the park gives back every byte."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.envelope import Envelope, Fact
from shared.contracts.incidents import INCIDENTS, Incident, IncidentReported
from shared.kernel.errors import Poison, Rejected, Transient, Unready
from shared.kernel.ids import new_id
from shared.messaging.parked import ToPark, _row
from shared.messaging.records import Record, headers_of, read
from shared.messaging.transaction import FactFailed, Transaction

pytestmark = pytest.mark.unit
NAMES = st.sampled_from(["ce_id", "ce_type", "ce_time", "ce_source", "traceparent", "other"])
VALUES = st.one_of(
    st.none(), st.binary(max_size=40), st.uuids().map(lambda u: str(u).encode()), st.builds(lambda: str(new_id()).encode()),
    st.sampled_from([b"ffffffff-ffff-7fff-bfff-ffffffffffff"]),
    st.sampled_from([b"amends.incident.reported", b"amends.case.opened", b"2026-11-23T12:00:00+00:00"] ),
)  # fmt: skip
BODIES = st.none() | st.binary(max_size=60) | st.sampled_from([b"{}", b"null", b'{"incident": {}}', b"[[[[", b'"\xed\xa0\x80"'])
RECORDS = st.builds(
    Record, st.just(INCIDENTS), st.integers(0, 9), st.integers(0, 9), st.none() | st.binary(max_size=2000), BODIES,
    st.lists(st.tuples(NAMES, VALUES), max_size=8).map(tuple),
)  # fmt: skip


@given(RECORDS)
def test_reading_raises_poison_and_nothing_else(record: Record) -> None:
    try:
        assert isinstance(read(record), Fact)
    except Poison as poison:
        assert poison.reason in {"unreadable-envelope", "unknown-type", "empty-body", "unreadable-body"}


@given(RECORDS)
def test_parking_keeps_every_byte_and_no_key_is_too_long_for_its_index(record: Record) -> None:
    assert Record.unpacked(record.topic, record.partition, record.offset, record.packed()) == record
    key = _row(ToPark(record, "failed", "a\x00b"), _now())[4]
    assert len(key.encode()) < 2000 and "\x00" not in key


def test_long_keys_that_differ_stay_apart() -> None:
    keys = {Record(INCIDENTS, 0, 0, b"k" * 5000 + bytes([n]), None, ()).order_key for n in range(10)}
    assert len(keys) == 10


def test_what_one_listener_has_read_the_next_gets_as_it_is() -> None:
    """Goal: four services of one process read each case's event once. Method: the same bytes elsewhere, and bytes that differ a little."""
    at = datetime(2026, 11, 23, 17, tzinfo=UTC)
    said = IncidentReported(
        incident=Incident(
            incident_id=new_id(), incident_type="repeat_visit", catalyst="fit_adjustment", location_id="store-12", root_order_id="o-1",
            occurred_at=at, reported_at=at,
        )
    )  # fmt: skip
    headers = tuple(headers_of(Envelope(new_id(), said.type_name, "test", at, said.key)))
    body = said.model_dump_json().encode()
    first, again, other = (
        read(Record(INCIDENTS, n, n, b"o-1", bytes(value), headers)).event
        for n, value in enumerate([bytearray(body), bytearray(body), body.replace(b"o-1", b"o-2")])
    )
    assert again is first == said != other


class TestDecideEach:
    """One fact's trouble is its own; `(key, trouble)` stand for facts here."""

    def run(self, *facts: tuple[str, Exception | None]) -> tuple[list[Any], Transaction]:
        tx = Transaction(None, _now(), "test")  # type: ignore[arg-type]
        done: list[Any] = []

        def decide(fact: tuple[str, Exception | None]) -> None:
            if fact[1] is not None:
                raise fact[1]
            done.append(fact[0])

        tx.decide_each(facts, decide, key=lambda fact: fact[0])
        return done, tx

    def test_followers_wait_behind_what_is_parked_or_waits_and_not_behind_a_refusal(self) -> None:
        done, tx = self.run(
            ("a", Unready("x", retry_in=2.0)), ("a", None), ("b", Poison("bad")), ("b", None), ("c", Rejected("no-way")), ("c", None)
        )
        assert done == ["c"]
        assert [(a.reason, a.retry_in, a.is_behind) for a in tx.set_aside] == [
            ("waiting", 2.0, False), ("behind", None, True), ("bad", None, False), ("behind", None, True),
        ]  # fmt: skip
        assert [(subject, r.code) for subject, r in tx.rejections] == [("c", "no-way")]

    def test_a_world_that_is_down_is_the_whole_batchs(self) -> None:
        with pytest.raises(Transient):
            self.run(("a", None), ("b", Transient("away")))

    def test_anything_else_names_its_fact(self) -> None:
        fact = ("b", ValueError("a bug"))
        with pytest.raises(FactFailed) as failed:
            self.run(("a", None), fact)
        assert failed.value.fact is fact and isinstance(failed.value.__cause__, ValueError)


def _now() -> Any:
    from shared.kernel.clock import machine_now

    return machine_now()
