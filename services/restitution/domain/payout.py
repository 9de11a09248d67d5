"""Paying once: intent, claim with a fencing token and a lease, result under the token, and looking up what nobody answered.

A payout is due iff its state is `due`; it may be asked for iff its claim (token) is the current one; a lease that ran out is looked up
at the gateway before anything is asked again. Leases are machine time, everything else business time.
"""

from datetime import datetime, timedelta
from uuid import UUID

from services.restitution.domain.state import Payout, Restitution, Teller
from shared.contracts.restitutions import PayoutUncertain, RestitutionSettled
from shared.kernel.decision import Cancel, Decision, Schedule

KIND = "payout"
SEND, LOOK = "send", "look"
LEASE = timedelta(seconds=30)
REARM_MAX = timedelta(hours=1)
LOOKS_MAX = 3
REFUSALS_MAX = 10


def pay_now(teller: Teller, now: datetime) -> None:
    """The intent: kept before anybody is asked to pay."""
    token = teller.state.payout.token
    teller.keep(payout=Payout("due", token))
    teller.wake(Schedule(KIND, str(teller.state.restitution_id), SEND, token + 1, now))


def cancel_payout(teller: Teller) -> None:
    """What is not under way is not paid any more."""
    if teller.state.payout.state in ("due", "uncertain"):
        teller.keep(payout=Payout("cancelled", teller.state.payout.token + 1))
        teller.wake(Cancel(KIND, str(teller.state.restitution_id), "reversed"))


def claim(state: Restitution, *, due_at: datetime, generation: int, machine_now: datetime) -> Decision[Restitution]:
    """The claim of a payout that is due, or of one whose lease ran out; empty where there is nothing to claim.

    Sets the look that finds a claim whose worker died. `generation` is that of the timer that fired: where a lease still runs (a demo's
    business clock may bring the look early) the next generation of the look is set, each twice as late.
    """
    payout = state.payout
    teller = Teller(state, due_at, None)
    subject = str(state.restitution_id)
    if payout.state == "paying" and payout.lease_until is not None and machine_now < payout.lease_until:
        wait = min(LEASE * 2 ** min(generation, 10), REARM_MAX)
        teller.wake(Schedule(KIND, subject, f"{LOOK}-{payout.token}", generation + 1, due_at + wait))
        return teller.done()
    if payout.state not in ("due", "paying"):
        return Decision(state)
    token = payout.token + 1
    looks = payout.looks + 1 if payout.state == "paying" else payout.looks
    teller.keep(payout=Payout("paying", token, machine_now + LEASE, looks))
    teller.wake(Schedule(KIND, subject, f"{LOOK}-{token}", 1, due_at + LEASE))
    return teller.done()


def settled(state: Restitution, *, token: int, now: datetime) -> Decision[Restitution]:
    """The gateway paid. A result under an old token changes nothing."""
    if state.payout.token != token or state.payout.state != "paying":
        return Decision(state)
    teller = Teller(state, now, None)
    teller.keep(payout=Payout("paid", token))
    teller.wake(Cancel(KIND, str(state.restitution_id), "paid"))
    teller.tell(RestitutionSettled, status="settled", money="posted", settled_at=now)
    return teller.done()


def try_again(state: Restitution, *, token: int, now: datetime) -> Decision[Restitution]:
    """The gateway clearly did not pay: it is due again, a lease later, each time twice as late; a person hears of it in the end."""
    if state.payout.token != token or state.payout.state != "paying":
        return Decision(state)
    tries = state.payout.looks + 1
    if tries > REFUSALS_MAX:
        return give_up(state, token=token, now=now)
    teller = Teller(state, now, None)
    teller.keep(payout=Payout("due", token, None, tries))
    teller.wake(
        Cancel(KIND, str(state.restitution_id), "not-paid"),
        Schedule(KIND, str(state.restitution_id), SEND, token + 1, now + min(LEASE * 2 ** (tries - 1), REARM_MAX)),
    )
    return teller.done()


def look_again(state: Restitution, *, token: int, now: datetime) -> Decision[Restitution]:
    """Nobody could tell: the look that is set asks again, up to three, then a person decides."""
    if state.payout.looks < LOOKS_MAX:
        return Decision(state)
    return give_up(state, token=token, now=now)


def give_up(state: Restitution, *, token: int, now: datetime) -> Decision[Restitution]:
    """Neither tells: shown to a person; nothing is paid again by itself."""
    if state.payout.token != token or state.payout.state != "paying":
        return Decision(state)
    teller = Teller(state, now, None)
    teller.keep(payout=Payout("uncertain", token))
    teller.wake(Cancel(KIND, str(state.restitution_id), "uncertain"))
    teller.tell(PayoutUncertain, status="payout_uncertain", reason="the payout was asked for, and it cannot be told whether it happened")
    return teller.done()


def payout_id(state: Restitution) -> UUID:
    """The gateway pays at most once per this id: one per restitution."""
    return state.restitution_id
