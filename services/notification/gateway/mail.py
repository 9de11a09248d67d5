"""E-mail by SMTP, for pages to staff. At most once, as texts are: what may have been taken is not sent again.

The first line of a body is the subject. The standard library's client runs in a thread; every step of it is bounded by a time.
"""

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from typing import Final, Literal
from uuid import UUID

from services.notification.gateway.port import OUTCOMES, Accepted, Ambiguous, Answer, Look, NotSent, Refused
from shared.kernel.clock import machine_now
from shared.telemetry import traces
from shared.telemetry.metrics import SEND_SECONDS, SENDS

# Each step of the conversation with the mail server may take this long (seconds, machine time).
STEP_SECONDS: Final = 10.0
Security = Literal["starttls", "tls", "none"]


@dataclass(frozen=True, slots=True)
class Account:
    """The mail server, and how one is known there; `sender` is the address that pages come from."""

    host: str
    port: int
    sender: str
    security: Security = "starttls"
    username: str | None = None
    password: str | None = None


class Mail:
    """See `Gateway`."""

    def __init__(self, account: Account, programme: str) -> None:
        self._account, self._programme = account, programme

    async def send(self, to: str, body: str, notice_id: UUID) -> Answer:
        """See `Gateway.send`."""
        with traces.span("email send", traces.CLIENT, **{"amends.notice_id": str(notice_id)}) as span:
            with SEND_SECONDS.labels("notification", "email").time():
                answer = await asyncio.to_thread(self._send, self._letter(to, body, notice_id))
            span.set_attribute("amends.outcome", OUTCOMES[type(answer)])
        SENDS.labels("notification", "email", OUTCOMES[type(answer)]).inc()
        return answer

    async def look(self, to: str, body: str, since: datetime, known: frozenset[str]) -> Look:
        """See `Gateway.look`. A mail server cannot be asked what it took."""
        return Ambiguous("no-look-up")

    async def close(self) -> None:
        """See `Gateway.close`: each letter has a connection of its own."""

    def _letter(self, to: str, body: str, notice_id: UUID) -> EmailMessage:
        subject, _, text = body.partition("\n")
        letter = EmailMessage()
        letter["From"] = formataddr((self._programme, self._account.sender))
        letter["To"] = to
        letter["Subject"] = " ".join(subject.split())
        letter["Date"] = format_datetime(machine_now())
        letter["Message-ID"] = f"<{notice_id}@{self._account.sender.rpartition('@')[2]}>"
        # No machine answers it.
        letter["Auto-Submitted"] = "auto-generated"
        letter.set_content(text.strip() + "\n")
        return letter

    def _send(self, letter: EmailMessage) -> Answer:
        try:
            with contextlib.ExitStack() as stack:
                client = stack.enter_context(self._connected())
                return _handed_over(client, letter)
        except (OSError, smtplib.SMTPException) as error:
            return NotSent(type(error).__name__)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        account = self._account
        if account.security == "tls":
            client: smtplib.SMTP = smtplib.SMTP_SSL(account.host, account.port, timeout=STEP_SECONDS, context=ssl.create_default_context())
        else:
            client = smtplib.SMTP(account.host, account.port, timeout=STEP_SECONDS)
        try:
            if account.security == "starttls":
                client.starttls(context=ssl.create_default_context())
            if account.username is not None and account.password is not None:
                client.login(account.username, account.password)
            yield client
        finally:
            # What was taken was taken, whether or not the server says goodbye.
            with contextlib.suppress(OSError, smtplib.SMTPException):
                client.quit()


def _handed_over(client: smtplib.SMTP, letter: EmailMessage) -> Answer:
    """From the first word about the letter on: what is not clearly refused may have been taken."""
    try:
        client.send_message(letter)
    except smtplib.SMTPRecipientsRefused as refused:
        code = max(code for code, _ in refused.recipients.values())
        return Refused(str(code), is_busy=code < 500)
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
        return Refused(str(refused.smtp_code), is_busy=refused.smtp_code < 500)
    except (OSError, smtplib.SMTPException) as error:
        return Ambiguous(type(error).__name__)
    return Accepted(f"email:{letter['Message-ID']}", "sent")
