"""What notification is asked over HTTP, and what the SMS provider tells it."""

from services.notification.api.notices import delete_notice, list_consents, list_notices, post_consent, post_notice
from services.notification.api.twilio import INBOUND, STATUS, twilio_inbound, twilio_status

ROUTES = [list_notices, post_notice, delete_notice, list_consents, post_consent, twilio_inbound, twilio_status]

__all__ = ["INBOUND", "ROUTES", "STATUS"]
