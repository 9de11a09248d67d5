"""What a storm's report says: the seed, what was struck when, the figures, and every finding."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.chaos.checks import CHECKS, Seen
from tests.chaos.storm import Outcome

SHOWN: Final = 10


def report(outcome: Outcome) -> str:
    """The report as text."""
    return "\n".join((*_head(outcome), "", *_blows(outcome), "", *_figures(outcome), "", *_verdict(outcome), ""))


def write(outcome: Outcome, file: Path | None) -> None:
    """Print it, and keep it where a file was named."""
    text = report(outcome)
    print(f"\n{text}")
    if file is not None:
        file.write_text(text, "utf-8")


def _head(outcome: Outcome) -> Iterator[str]:
    made = outcome.plan
    yield f"Storm of seed {made.seed} (plan {made.digest}), begun at {made.began_at:%Y-%m-%d %H:%M:%S} UTC"
    struck = Counter(blow.target for blow in outcome.record.blows)
    services = sum(times for target, times in struck.items() if target not in ("broker", "log"))
    yield (
        f"{made.size.events} events in {len(made.batches)} batches; kill -9: {services} of services, {struck['broker']} of the broker;"
        f" the broker's log lost and republished: {struck['log']}"
    )


def _blows(outcome: Outcome) -> Iterator[str]:
    yield "  n  what           after events   struck at      away"
    for n, blow in enumerate(outcome.record.blows, 1):
        away = (blow.up_at - blow.struck_at).total_seconds()
        yield f"{n:>3}  {blow.target:<13} {blow.acknowledged:>13}   {blow.struck_at:%H:%M:%S.%f} {away:>5.1f} s"


def _figures(outcome: Outcome) -> Iterator[str]:
    for name, value in figures(outcome):
        yield f"{name:<58} {value:>12}"


def figures(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """Name and value, in the order of the invariants."""
    record, seen = outcome.record, outcome.seen
    yield "seconds from the first event to the last acknowledged", f"{outcome.sent_seconds:.1f}"
    yield "seconds from there until all was quiet", f"{outcome.drained_seconds:.1f}"
    yield "events acknowledged, each once", f"{len(record.acknowledged)}"
    yield "of them sent more than once and recognized", f"{sum(n - 1 for n in record.acknowledged.values())}"
    yield "batches sent again because nobody answered", f"{record.sent_again}"
    yield "incidents, each with its case", f"{len(seen.events.incidents)}"
    yield "commands of people answered with 200", f"{len(record.done)}"
    yield "requests of people asked again", f"{record.asked_again}"
    yield "actions and requests done once more than answered", f"{_doubled(seen)}"
    yield from _of_order(seen)
    yield from _of_money(seen)
    yield from _of_timers(seen)
    yield "texts accepted by the provider, each once", f"{len(seen.texts.accepted)}"
    yield "texts in doubt after a kill (looked up, never sent again)", f"{seen.texts.in_doubt}"
    yield "numbers that said STOP", f"{len({stop.number for stop in record.stops})}"
    yield "texts that had left before STOP was taken and came after", f"{seen.texts.crossed}"


def _of_order(seen: Seen) -> Iterator[tuple[str, str]]:
    said = sum(len(events) for events in seen.order.said.values())
    lying = sum(len(events) for events in seen.order.arrived.values())
    yield "events said by services", f"{said}"
    yield "records on the broker", f"{lying}"
    yield "events taken by listeners, each once", f"{sum(len(inbox) for inbox in seen.order.taken.values())}"


def _of_money(seen: Seen) -> Iterator[tuple[str, str]]:
    by_state: Counter[str] = Counter()
    for leg in seen.money.legs:
        if leg.account.startswith("patient:"):
            by_state[leg.state] += leg.amount_minor
    yield "restitutions", f"{len(seen.money.granted)}"
    for state in ("posted", "pending", "voided"):
        yield f"USD {state}", f"{by_state[state] // 100}.{by_state[state] % 100:02}"
    yield "payouts, each once", f"{len(seen.money.codes)}"


def _of_timers(seen: Seen) -> Iterator[tuple[str, str]]:
    fired = [ended for ended in seen.timers.ended if ended.outcome == "fired" and ended.due_at is not None]
    late = sorted(seen.timers.lateness(ended).total_seconds() for ended in fired)
    kinds = Counter(f"{ended.key[0]} {ended.key[1]}" for ended in fired)
    yield "timers set", f"{len(seen.timers.set_at)}"
    for kind, times in sorted(kinds.items()):
        yield f"fired: {kind}", f"{times}"
    if late:
        yield "late beyond the outage, seconds: p50", f"{late[len(late) // 2]:.2f}"
        yield "late beyond the outage, seconds: p99", f"{late[len(late) * 99 // 100]:.2f}"
        yield "late beyond the outage, seconds: most", f"{late[-1]:.2f}"


def _doubled(seen: Seen) -> int:
    """Commands that may be repeated without harm leave nothing twice; these are told apart by their Idempotency-Key alone."""
    answered = Counter(done.subject for done in seen.events.done if done.what == "actions")
    recorded = {case: n for (case, kind), n in seen.events.happened.items() if kind == "amends.case.action_recorded"}
    there = Counter(r.requested_by for r in seen.money.granted if r.requested_by != "system")
    more = sum(n - seen.money.requested.get(person, 0) for person, n in there.items())
    return more + sum(n - answered[case] for case, n in recorded.items())


def _verdict(outcome: Outcome) -> Iterator[str]:
    found = Counter(finding.check for finding in outcome.findings)
    for _, check in CHECKS:
        yield f"{'holds' if not found[check.__name__] else f'{found[check.__name__]} findings':<14} {check.__name__}"
    shown: Counter[str] = Counter()
    for finding in outcome.findings:
        shown[finding.check] += 1
        if shown[finding.check] <= SHOWN:
            yield f"  {finding}"
