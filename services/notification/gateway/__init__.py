"""Who is outside: `port` (what is asked of whoever takes a message), `sms` (Twilio), `mail` (SMTP), `webhook` (Standard Webhooks)."""

from services.notification.gateway.mail import Mail
from services.notification.gateway.port import Accepted, Ambiguous, Answer, Gateway, Look, NotFound, NotSent, Refused
from services.notification.gateway.sms import UNSET, NoProvider, TwilioSms, provider
from services.notification.gateway.webhook import Webhooks

__all__ = [
    "UNSET", "Accepted", "Ambiguous", "Answer", "Gateway", "Look", "Mail", "NoProvider", "NotFound", "NotSent", "Refused", "TwilioSms",
    "Webhooks", "provider",
]  # fmt: skip
