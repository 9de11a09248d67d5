"""What a listener does nothing about is passed over by its header alone; what nobody knows is not, for it has to be parked."""

import pytest

from shared.contracts.notices import NOTICES, NoticeDelivered, ReplyUnderstood
from shared.messaging.broker import skipped

pytestmark = pytest.mark.unit


def test_only_known_types_of_the_topic_are_passed_over() -> None:
    passed = skipped(NOTICES, (NoticeDelivered, ReplyUnderstood))
    assert b"amends.notice.sent" in passed and b"amends.notice.queued" in passed
    assert NoticeDelivered.type_name.encode() not in passed and ReplyUnderstood.type_name.encode() not in passed
    assert b"amends.notice.unheard_of" not in passed and None not in passed


def test_a_listener_that_names_nothing_is_told_everything() -> None:
    assert skipped(NOTICES, None) == frozenset()
