"""What waits for a person: parked events and timers, sends whose fate is unclear, stores where nobody would be paged."""

from datetime import timedelta

from services.command.doctor.finding import Around, Finding, failed, ok, warning
from services.notification.store import notices
from services.restitution import store as restitutions
from shared import reference
from shared.contracts.flow import ALL_SERVICES
from shared.kernel.clock import machine_now
from shared.messaging import parked as park
from shared.timers.standing import standing as timers_standing

LISTED = 1000
NAMED = 5
ROSTER_DAYS = 7


async def parked(around: Around) -> list[Finding]:
    """Events and timers that nobody goes on with unless a person does."""
    if around.place is None:
        return []
    found = []
    for service in ALL_SERVICES:
        async with around.place.pool(service) as pool:
            rows = await park.listed(pool, None, LISTED)
            stuck = [row for row in rows if row["retry_at"] is None and not row["is_behind"]]
            timers = (await timers_standing(pool, machine_now())).parked
        if stuck:
            first = stuck[0]
            detail = f"{service}: {len(stuck)} events and {len(rows) - len(stuck)} behind them; first: {first['reason']}, {first['topic']}"
            fix = "See `amends parked list`, put the cause right, then `amends parked redrive` (docs/runbooks/parked.md)."
            found.append(failed("parked", detail, fix))
        if timers:
            fix = "See parked_reason in its table timers, put the cause right, then set it to null; the timer fires at once."
            found.append(failed("parked", f"{service}: {timers} timers", fix))
    return found or [ok("parked", "nothing lies parked")]


async def uncertain(around: Around) -> list[Finding]:
    """Texts and payouts that may have left; nobody sends them again but a person."""
    if around.place is None:
        return []
    async with around.place.pool("notification") as pool:
        texts = (await notices.standing(pool)).get("uncertain", 0)
    async with around.place.pool("restitution") as pool:
        payouts = (await restitutions.standing(pool)).get("payout_uncertain", 0)
    if not texts and not payouts:
        return [ok("uncertain sends", "none")]
    fix = "Look each up at the provider and tell the case what came of it (docs/runbooks/uncertain.md)."
    return [warning("uncertain sends", f"{texts} texts, {payouts} payouts", fix)]


async def people(around: Around) -> list[Finding]:
    """Stores where an upset patient would wake nobody, or somebody without a phone."""
    if around.place is None:
        return []
    async with around.place.pool("escalation") as pool:
        ids = await reference.location_ids(pool)
        places = await reference.locations(pool, ids)
        crews = await reference.people_of(pool, ids)
        everybody = {
            person for crew in crews.values() for group in (crew.associates, crew.managers, crew.regional_managers) for person in group
        }
        staff = await reference.staff(pool, everybody)
    if not ids:
        return [warning("people", "no location is known", "Load the group with `amends directory load FILE`.")]
    nobody, no_ladder, no_shift = [], [], []
    now = machine_now()
    soon = now + timedelta(days=ROSTER_DAYS)
    for name in sorted(ids):
        crew = crews.get(name, reference.People())
        if not (crew.associates or crew.managers or crew.regional_managers):
            nobody.append(name)
        elif not (crew.managers or crew.regional_managers):
            no_ladder.append(name)
        if not any(stretch.staff for stretch in places[name].duty.stretches(now, soon)):
            no_shift.append(name)
    silent = sorted(person for person, who in staff.items() if not who.phone)
    found = []
    if nobody:
        fix = "Give each at least one active person with `amends directory load` or PUT /v1/staff."
        found.append(failed("people", f"nobody works at {_named(nobody)}", fix))
    if no_ladder:
        fix = "Name a manager of the store or of its region; a breach there would page nobody."
        found.append(failed("people", f"no manager, of store or region, for {_named(no_ladder)}", fix))
    if silent:
        found.append(warning("people", f"no phone: {_named(silent)}", "Add their numbers; a page to them is withheld with no-phone."))
    if no_shift:
        fix = "Load their rosters; until then the person with the fewest open cases is the owner, on duty or not."
        found.append(warning("people", f"no shift within {ROSTER_DAYS} days at {_named(no_shift)}", fix))
    return found or [ok("people", f"{len(ids)} locations, somebody to page at each")]


def _named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
