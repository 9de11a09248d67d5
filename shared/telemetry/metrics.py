"""Every metric of the product, each with its meaning, in one registry of our own.

Called by whoever counts something; read by `/metrics` and by `docs/METRICS.md`. Invariant: a metric exists only here, and its labels
are closed sets (a service, a topic, a code), never an id, so that the number of series is bounded by the code base.
Embedded, six services share the process and the registry: the label `service` keeps them apart. Nothing is counted when it is asked for:
gauges of what lies in tables are read in the background (`shared/messaging/measures.py` and each service's `measure`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry()
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Seconds. A hop takes 10 ms when idle and seconds behind a backlog; an HTTP answer lies in the same range.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


@dataclass(frozen=True)
class Meaning:
    """One row of `docs/METRICS.md`."""

    name: str
    kind: str
    help: str
    labels: tuple[str, ...]


CATALOGUE: list[Meaning] = []


def _counter(name: str, help: str, *labels: str) -> Counter:
    CATALOGUE.append(Meaning(name, "counter", help, labels))
    return Counter(name, help, labels, registry=REGISTRY)


def _gauge(name: str, help: str, *labels: str) -> Gauge:
    CATALOGUE.append(Meaning(name, "gauge", help, labels))
    return Gauge(name, help, labels, registry=REGISTRY)


def _histogram(name: str, help: str, *labels: str, buckets: Sequence[float] = SECONDS) -> Histogram:
    CATALOGUE.append(Meaning(name, "histogram", help, labels))
    return Histogram(name, help, labels, registry=REGISTRY, buckets=buckets)


# HTTP
HTTP_REQUESTS = _counter("amends_http_requests_total", "Requests answered, by route template and status.", "method", "route", "status")
HTTP_SECONDS = _histogram("amends_http_request_seconds", "From the first byte read to the first byte of the answer.", "method", "route")
HTTP_PROBLEMS = _counter("amends_http_problems_total", "Problems answered, by their code.", "code")
HTTP_STREAMS = _gauge("amends_http_streams_open", "Server-sent event streams open now.")
IDEMPOTENT_ANSWERS = _counter(
    "amends_idempotent_requests_total", "Requests with an Idempotency-Key, by what became of them.", "service", "outcome"
)

# The engine: one batch, one transaction
EVENTS_TAKEN = _counter("amends_events_taken_total", "Events applied, by topic and type.", "service", "topic", "type")
EVENTS_REPEATED = _counter("amends_events_repeated_total", "Events the inbox knew already.", "service", "topic")
EVENTS_REJECTED = _counter("amends_events_rejected_total", "Facts the business refused, by code.", "service", "code")
EVENTS_WAITING = _gauge(
    "amends_events_waiting", "Parked events that the engine itself tries again: another topic brings their row.", "service"
)
EVENTS_PARKED = _counter("amends_events_parked_total", "Events parked, by reason.", "service", "topic", "reason")
EVENTS_PARKED_NOW = _gauge(
    "amends_events_parked_now", "Events that lie parked now, those that wait included; counted up to 10,000.", "service"
)
EVENTS_SAID = _counter(
    "amends_events_said_total", "Events committed to the outbox: what happened to cases, restitutions, notices.", "service", "type"
)
BATCH_SIZE = _histogram("amends_batch_size", "Events in one transaction.", "service", "topic", buckets=SIZES)
BATCH_SECONDS = _histogram("amends_batch_seconds", "One batch, from the records read to the commit.", "service", "topic")
BATCH_RETRIES = _counter(
    "amends_batch_retries_total", "Batches tried again, by cause (transient, unexpected).", "service", "topic", "cause"
)
EVENT_AGE_SECONDS = _histogram("amends_event_age_seconds", "From an event's minting to its being applied.", "service", "topic")
CONSUMER_LAG = _gauge(
    "amends_consumer_lag_events", "Records of a topic that this process has yet to take, over its partitions.", "service", "topic"
)
SUBSCRIBERS_DEAD = _gauge(
    "amends_subscribers_dead", "1 where a subscriber does not run or has no partition, whatever the reason.", "service", "topic"
)
CONSUMERS_STOPPED = _gauge("amends_consumers_stopped", "Subscribers that stopped themselves and wait for a person.", "service", "topic")

# The relay
EVENTS_RELAYED = _counter("amends_events_relayed_total", "Outbox rows acknowledged by the broker.", "service", "topic")
RELAY_RESTARTS = _counter("amends_relay_restarts_total", "Times the relay started again at its position.", "service", "cause")
RELAY_LAG_SECONDS = _gauge("amends_relay_lag_seconds", "Age of the oldest outbox row beyond the relay's kept position.", "service")
OLDEST_TRANSACTION_SECONDS = _gauge("amends_oldest_transaction_seconds", "Age of the oldest open write transaction.", "service")

# Timers
TIMERS_FIRED = _counter("amends_timers_fired_total", "Timers fired, by kind.", "service", "kind")
TIMERS_LATE_SECONDS = _histogram("amends_timers_late_seconds", "How late a timer fired, in machine time.", "service", "kind")
TIMERS_OVERDUE = _gauge("amends_timers_overdue", "Timers due and not fired, counted up to 10,000; stays near zero.", "service")
TIMERS_OVERDUE_SECONDS = _gauge("amends_timers_overdue_seconds", "How late the longest overdue timer is, in business time.", "service")
TIMER_FINDINGS = _gauge("amends_timer_findings", "Timers the auditor finds at fault; stays at zero.", "service", "fault")
TIMERS_PARKED_NOW = _gauge("amends_timers_parked_now", "Timers that could not be handled and wait for a person.", "service")

# The work, as it stands
CASES_OPEN = _gauge("amends_cases_open", "Cases that are open or acknowledged.", "status", "severity")
CASES_UNOWNED = _gauge("amends_cases_unowned", "Of these, without an owner.", "severity")
CASES_BREACHED = _gauge("amends_cases_breached", "Of these, with a target that is over and not met.", "severity")
NOTICES_NOW = _gauge("amends_notices_now", "Notices that are not at an end, by status; `uncertain` wait for a person.", "status")
RESTITUTIONS_NOW = _gauge(
    "amends_restitutions_now", "Restitutions that are not at an end, by status; `payout_uncertain` wait for a person.", "status"
)
MILEAGE_DAYS_LEFT = _gauge(
    "amends_mileage_days_left",
    "Days of business time until the last known mileage rate ends; negative once trips are referred for want of one.",
)

# Sends (texts, payouts), the database and the rest
DATABASE_UP = _gauge("amends_database_up", "1 while the service's database answers, else 0 and its other gauges are old.", "service")
POOL_CONNECTIONS = _gauge("amends_pool_connections", "Database connections held, by state (busy, idle).", "service", "state")
POOL_CONNECTIONS_MAX = _gauge("amends_pool_connections_max", "Database connections the service may hold.", "service")
SENDS = _counter("amends_sends_total", "Calls to a provider, by what became of them.", "service", "gateway", "outcome")
SEND_SECONDS = _histogram("amends_send_seconds", "One call to a provider.", "service", "gateway")
BACKGROUND_FAILURES = _counter("amends_background_failures_total", "Tracked background tasks that failed.", "service", "task")
LOG_FIELDS_DROPPED = _counter("amends_log_fields_dropped_total", "Log fields that were not on the allow-list.")


def exposition() -> bytes:
    """All metrics in the Prometheus text format; its media type is `CONTENT_TYPE`."""
    return generate_latest(REGISTRY)


def catalogue_markdown() -> str:
    """The table of `docs/METRICS.md`, in the order of this file."""
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    rows += [f"| `{m.name}` | {m.kind} | {', '.join(m.labels) or '-'} | {m.help} |" for m in CATALOGUE]
    return "\n".join(rows) + "\n"
