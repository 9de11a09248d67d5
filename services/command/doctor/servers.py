"""The servers: broker, topics, databases, clocks, and the processes themselves."""

import asyncio
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from services.command.doctor.finding import Around, Finding, failed, ok, warning
from services.command.up import builders
from shared.contracts.flow import TOPICS
from shared.db import NewerSchema, OlderSchema, check, clock_of, version_of
from shared.kernel.clock import machine_now
from shared.messaging.counter import CounterBehind, check_counter
from shared.messaging.look import Cluster, TopicAsIs, look
from shared.runtime.host import all_migrations

ANSWER_SECONDS: Final = 6.0
SKEW_SECONDS: Final = 2.0
SKEW_SECONDS_MAX: Final = 60.0
VERSIONS: Final = range(15, 19)


async def broker(around: Around) -> list[Finding]:
    """Whether the broker answers, and how the topics stand."""
    if around.place is None:
        return []
    cluster = await look(around.place.kafka)
    count = f"{cluster.brokers} broker{'s' if cluster.brokers > 1 else ''} at {around.place.kafka}"
    found = [ok("broker", count)]
    wanted = around.settings.kafka.replication_factor
    if not around.is_embedded and wanted < 3:
        found.append(
            warning(
                "broker",
                f"topics are made on {wanted} broker{'s' if wanted > 1 else ''}",
                "Set AMENDS_KAFKA__REPLICATION_FACTOR=3 before the topics are made; one lost broker must not be a lost log.",
            )
        )
    return found + _topics(cluster, around)


def _topics(cluster: Cluster, around: Around) -> list[Finding]:
    found = []
    for topic in TOPICS:
        as_is = cluster.topics.get(topic.name)
        partitions = 1 if topic.is_single else around.settings.kafka.topics["partitions"]
        if as_is is None:
            found.append(failed("topics", f"{topic.name} is missing", "Run `amends migrate`; it makes what is missing."))
        else:
            found += _topic(topic.name, as_is, topic.compacted, topic.is_single, partitions, around.settings.kafka.replication_factor)
    return found or [ok("topics", f"{len(TOPICS)} topics, each led and in sync")]


def _topic(name: str, as_is: TopicAsIs, compacted: bool, is_single: bool, partitions: int, replicas: int) -> list[Finding]:
    found = []
    if as_is.leaderless:
        found.append(failed("topics", f"{as_is.leaderless} partitions of {name} have no leader", "Bring back the broker that led them."))
    if is_single and as_is.partitions > 1:
        fix = "Make the topic anew with one partition and run `amends republish`; listeners count on one order."
        found.append(failed("topics", f"{name} has {as_is.partitions} partitions, it must have one", fix))
    elif as_is.partitions < partitions:
        fix = "Leave it, or add partitions while nothing is unread: a key changes its partition with their number."
        found.append(warning("topics", f"{name} has {as_is.partitions} partitions, the settings say {partitions}", fix))
    if as_is.replicas < replicas:
        fix = "Reassign its replicas with kafka-reassign-partitions; the setting counts only when a topic is made."
        found.append(failed("topics", f"{name} is kept on {as_is.replicas} brokers, the settings say {replicas}", fix))
    if as_is.behind:
        fix = "Look at the broker that is down or slow; until it is back one more loss may lose events."
        found.append(warning("topics", f"{as_is.behind} partitions of {name} have a replica that is behind", fix))
    if as_is.is_compacted != compacted:
        how = "compact" if compacted else "delete"
        fix = f"Set cleanup.policy={how} on it; " + ("erased keys leave the log by it." if compacted else "events would be lost by it.")
        found.append(failed("topics", f"{name} has another cleanup.policy than {how}", fix))
    return found


async def databases(around: Around) -> list[Finding]:
    """Each service's schema: reachable, a version that is supported, and what this Amends was written for."""
    if around.place is None:
        return []
    found, versions = [], set()
    for service, (_, schema) in builders().items():
        about = f"database of {service}"
        async with around.place.pool(service) as pool:
            versions.add(version := await version_of(pool))
            if version not in VERSIONS:
                fix = f"Use PostgreSQL {VERSIONS[0]} to {VERSIONS[-1]}."
                found.append(failed(about, f"PostgreSQL {version} has not been tried", fix))
            try:
                await check(pool, service, all_migrations(service, schema))
                await check_counter(pool, service)
            except OlderSchema as older:
                found.append(failed(about, str(older), "Run `amends migrate`, then start the services again."))
            except NewerSchema as newer:
                found.append(failed(about, str(newer), "Run the Amends that upgraded it, or a newer one."))
            except CounterBehind as behind:
                found.append(failed(about, str(behind), "Stop the services, run `amends migrate`, then start them again."))
            except ValueError as edited:
                found.append(failed(about, str(edited), "Install an unchanged release; a migration is never edited."))
    good = f"PostgreSQL {', '.join(map(str, sorted(versions)))}, {len(builders())} schemas up to date"
    return found or [ok("databases", good)]


async def clocks(around: Around) -> list[Finding]:
    """This machine's clock against those of the databases and of the machines the services run on.

    A broker tells nobody its time; it refuses records an hour ahead of its own.
    """
    if around.place is None:
        return []
    off: dict[str, float] = {}
    # Each server once, by whichever service uses it.
    for service in {dsn: service for service, dsn in around.place.dsns.items()}.values():
        async with around.place.pool(service) as pool:
            before = machine_now()
            off[f"the database of {service}"] = _ahead(await clock_of(pool), before, 0)
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as http:
        for url in sorted(set(around.place.urls.values())):
            before = machine_now()
            try:
                said = (await http.get(f"{url}/livez")).headers.get("date")
            except httpx.HTTPError:
                continue
            if said:
                # The header knows whole seconds.
                off[f"the machine at {url}"] = _ahead(parsedate_to_datetime(said).astimezone(UTC), before, 1)
    found = []
    for whose, seconds in off.items():
        detail = f"the clock of {whose} is {abs(seconds):.1f} s {'ahead' if seconds > 0 else 'behind'}"
        fix = "Keep all machines on one time by NTP: leases, signatures and the order of ids live by it."
        if abs(seconds) > SKEW_SECONDS:
            found.append(failed("clocks", detail, fix) if abs(seconds) > SKEW_SECONDS_MAX else warning("clocks", detail, fix))
    return found or [ok("clocks", f"{len(off)} clocks within {SKEW_SECONDS:g} s of this machine's")]


def _ahead(theirs: datetime, before: datetime, grain: int) -> float:
    """Seconds by which another's clock, read between `before` and now, is ahead of ours; 0 where it may be the same."""
    if before.timestamp() - grain <= theirs.timestamp() <= machine_now().timestamp():
        return 0.0
    return (theirs - before).total_seconds()


async def processes(around: Around) -> list[Finding]:
    """Whether each process is ready; a subscriber or a loop that died is named by its service."""
    if around.place is None:
        return []
    urls: dict[str, list[str]] = {}
    for service, url in around.place.urls.items():
        urls.setdefault(url, []).append(service)
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False) as http:
        answers = await asyncio.gather(*(_ready(http, url) for url in urls))
    found: list[Finding] = []
    for (url, services), checks in zip(urls.items(), answers, strict=True):
        whose = "Amends" if len(services) > 1 else services[0]
        if checks is None:
            fix = "Start it with `amends up`." if len(services) > 1 else f"Start it with `amends serve {services[0]}`, or name its address."
            found.append(failed("processes", f"{whose} does not answer at {url}", fix))
            continue
        found += [_unwell(name, str(check.get("detail", ""))) for name, check in sorted(checks.items()) if not check.get("ok")]
    return found or [ok("processes", f"{len(around.place.urls)} services ready: subscribers and loops alive")]


def _unwell(name: str, detail: str) -> Finding:
    what = name.partition(".")[2]
    fixes = {
        "subscribers": "Its log names the reason; see docs/runbooks/consumer-stopped.md.",
        "loops": "Its log names the reason; restart the process, nothing is lost.",
        "postgres": "See what its database says; the service goes on by itself once it answers.",
    }
    return failed("processes", f"{name} is not well: {detail or 'no reason given'}", fixes.get(what, "See its log."))


async def _ready(http: httpx.AsyncClient, url: str) -> dict[str, dict[str, Any]] | None:
    try:
        checks = (await http.get(f"{url}/readyz?verbose")).json().get("checks")
    except (httpx.HTTPError, ValueError, AttributeError):
        return None
    return checks if isinstance(checks, dict) else None
