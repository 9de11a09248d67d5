"""Paying what is due: the claim in one transaction, the call outside of any, the result in another under the claim's token.

Called by the timers. A worker that dies between the two leaves a lease that runs out; whoever finds it looks it up before asking again.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final
from uuid import UUID

from services.restitution import domain, store
from services.restitution.domain import Restitution
from services.restitution.gateway import Answer, Order, Paid, PayoutGateway, Refused, Unclear
from services.restitution.usecases.desk import Book, Desk
from shared import timers
from shared.kernel.clock import machine_now
from shared.kernel.decision import Decision
from shared.messaging import Transaction
from shared.telemetry import traces
from shared.telemetry.metrics import SEND_SECONDS, SENDS
from shared.timers import Due

AT_ONCE: Final = 16
# Well inside the lease of 30 s, so that a slow answer is still ours to record.
ANSWER_SECONDS: Final = 10.0
OUTCOMES: Final[Mapping[type, str]] = {Paid: "paid", Refused: "refused", Unclear: "unclear"}


@dataclass(frozen=True, slots=True)
class Claim:
    """One payout that is ours to ask for under `token`; `look`: an earlier claim may have been paid, so it is looked up first."""

    order: Order
    token: int
    look: bool
    traceparent: str | None


async def pay_due(desk: Desk, tx: Transaction, due: Sequence[Due]) -> None:
    """Claim the payouts whose time has come, and ask for them once that is committed."""
    book = Book.of((await store.lock(tx.conn, {UUID(timer.subject) for timer in due})).values())
    fired = await timers.fire(tx, due)
    claims: list[Claim] = []

    def decide(timer: Due) -> None:
        state = book.states.get(UUID(timer.subject))
        if state is None:
            return
        decision = domain.claim(state, due_at=timer.due_at, generation=timer.generation, machine_now=machine_now())
        book.keep(tx, decision)
        if decision.state.payout.token != state.payout.token:
            order = Order(state.restitution_id, state.amount_minor, state.currency)
            claims.append(Claim(order, decision.state.payout.token, state.payout.state == "paying", timer.traceparent))

    tx.decide_each(fired, decide)
    await book.save(tx)
    if claims:
        tx.after_commit(partial(_ask, desk, claims))


async def _ask(desk: Desk, claims: Sequence[Claim]) -> None:
    """Ask the gateway for each, a few at once, and record all answers together."""
    gate = asyncio.Semaphore(AT_ONCE)
    answers = await asyncio.gather(*(_answer(desk.gateway, claim, gate) for claim in claims))
    async with desk.engine.transaction() as tx:
        book = Book.of((await store.lock(tx.conn, [claim.order.payout_id for claim in claims])).values())
        for claim, answer in zip(claims, answers, strict=True):
            book.keep(tx, _result(book.states[claim.order.payout_id], claim, answer, tx), cause=claim)
        await book.save(tx)


async def _answer(gateway: PayoutGateway, claim: Claim, gate: asyncio.Semaphore) -> Answer:
    """What the gateway says; what was never asked for under an earlier claim is asked for now (it pays once per payout id)."""
    async with gate:
        noted = {"amends.restitution_id": str(claim.order.payout_id)}
        with traces.attached(claim.traceparent), traces.span("payout ask", traces.CLIENT, **noted) as span:
            with SEND_SECONDS.labels("restitution", "payout").time():
                answer = await _ask_gateway(gateway, claim)
            span.set_attribute("amends.outcome", _outcome(answer))
        SENDS.labels("restitution", "payout", _outcome(answer)).inc()
        return answer


async def _ask_gateway(gateway: PayoutGateway, claim: Claim) -> Answer:
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            if not claim.look:
                return await gateway.pay(claim.order)
            found = await gateway.look_up(claim.order)
            return await gateway.pay(claim.order) if isinstance(found, Refused) else found
    except TimeoutError:
        return Unclear("no answer in time")


def _outcome(answer: Answer) -> str:
    return OUTCOMES.get(type(answer), "other")


def _result(state: Restitution, claim: Claim, answer: Answer, tx: Transaction) -> Decision[Restitution]:
    if isinstance(answer, Paid):
        return domain.settled(state, token=claim.token, now=tx.now)
    if isinstance(answer, Refused):
        return domain.try_again(state, token=claim.token, now=tx.now)
    return domain.look_again(state, token=claim.token, now=tx.now)
