"""Who is wired to whom in notification."""

import secrets
from datetime import timedelta
from functools import partial
from pathlib import Path

from services.notification import api, handlers, timers, usecases
from services.notification.domain import templates
from services.notification.domain.window import Rules, Window
from services.notification.gateway import UNSET, Gateway, Mail, NoProvider, Webhooks, provider
from services.notification.gateway.mail import Account
from services.notification.usecases import Desk
from shared.runtime import Host, Service
from shared.settings import Email, Sms, Texting, Webhook

HERE = Path(__file__).parent


def build(host: Host, *, gateway: Gateway | None = None) -> Service:
    """Notification, ready to start; `gateway` is who sends texts, the provider of the settings without one.

    Raises ValueError where that provider's account, the mail server or the webhook is set in part.
    """
    engine = host.engine("notification", schema=HERE / "schema")
    sms: Sms = host.settings.sms
    token = sms.auth_token.get_secret_value() if sms.auth_token else None
    gateway = gateway or provider(sms.account_sid, token, sms.from_number, host.public_url + api.STATUS, sms.base_url)
    has_provider = not isinstance(gateway, NoProvider)
    desk = Desk(
        engine=engine,
        vault=host.vault,
        words=templates.load((HERE / "policy" / "templates.toml").read_text("utf-8")),
        rules=rules_of(host.settings.texting),
        gateway=gateway,
        public_url=host.public_url,
        pages_url=host.pages_url or host.public_url,
        programme=sms.programme,
        # Without a provider nothing that claims to be from it is true.
        webhook_token=token or secrets.token_hex(32),
        provider_confirms_stop=sms.provider_confirms_stop,
        has_provider=has_provider,
        mail=mail_of(host.settings.email, sms.programme),
        webhooks=webhooks_of(host.settings.webhook, is_embedded=host.is_demo),
    )
    return Service(
        engine=engine,
        desk=desk,
        subscribe=partial(handlers.subscribe, desk=desk),
        timers=timers.kinds(desk),
        routes=api.ROUTES,
        loops=(partial(usecases.watch, desk),),
        timer_check=usecases.check_timers,
        timer_cases=usecases.timer_cases,
        measure=partial(usecases.measure, desk),
        closing=[way.close for way in (desk.gateway, desk.mail, desk.webhooks) if way is not None],
        notes={} if has_provider else {"sms": UNSET},
    )


def mail_of(email: Email, programme: str) -> Mail | None:
    """The mail server of the settings, if they name one. Raises ValueError where they name half of it."""
    if email.host is None and email.sender is None:
        return None
    if email.host is None or email.sender is None:
        raise ValueError("set both of AMENDS_EMAIL__HOST and AMENDS_EMAIL__SENDER, or none of them")
    password = email.password.get_secret_value() if email.password else None
    return Mail(Account(email.host, email.port, email.sender, email.security, email.username, password), programme)


def webhooks_of(webhook: Webhook, *, is_embedded: bool) -> Webhooks | None:
    """Where pages are posted, if the settings say so. Raises ValueError for an address that is not https, or without a secret."""
    if webhook.url is None and not webhook.per_region:
        return None
    if webhook.secret is None:
        raise ValueError("set AMENDS_WEBHOOK__SECRET: whoever hears a webhook tells by it that it is ours")
    return Webhooks(webhook.secret.get_secret_value(), webhook.per_region, webhook.url, is_embedded=is_embedded)


def rules_of(texting: Texting) -> Rules:
    """The settings of texting as the rules of the domain."""
    states = {state: Window(window.start, window.end) for state, window in texting.per_state.items()}
    return Rules(
        Window(texting.start, texting.end), states, texting.per_day, texting.per_week, texting.exempt_per_day, texting.exempt_per_week,
        timedelta(seconds=texting.undo_seconds),
    )  # fmt: skip
