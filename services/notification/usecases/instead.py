"""A page by e-mail or webhook that does not get there is a text instead, which says so.

Called wherever a notice was decided on. Invariant: for one cause a person gets one text, whether their ladder asked for it or another
channel failed, for the text has the same key either way.
"""

from collections.abc import Sequence

from services.notification import store
from services.notification.domain import notice as rules
from services.notification.domain.notice import NOWHERE, Notice
from services.notification.usecases.desk import Desk
from shared import reference
from shared.kernel.ids import new_id
from shared.messaging import Transaction


async def fall_back(desk: Desk, tx: Transaction, decided: Sequence[Notice]) -> None:
    """The texts in the place of those of `decided` that failed by another channel."""
    failed = [page for page in decided if page.staff_id is not None and rules.needs_text(page)]
    if not failed:
        return
    staff = await reference.staff(tx.conn, sorted({page.staff_id for page in failed if page.staff_id}))
    phones = {staff_id: person.phone for staff_id, person in staff.items()}
    decisions = []
    for page in failed:
        number = phones.get(page.staff_id or "")
        text = rules.instead(page, new_id(), desk.index(number) if number else None, tx.now)
        decisions.append(rules.queued(text) if number else rules.withheld(text, NOWHERE["text"], tx.now, is_new=True))
    new = await store.notices.insert(tx.conn, [decision.state for decision in decisions])
    for decision in decisions:
        if decision.state.notice_id in new:
            tx.apply(decision)
