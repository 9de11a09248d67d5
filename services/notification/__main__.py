"""Who is wired to whom in notification."""

from datetime import timedelta
from functools import partial
from pathlib import Path

from services.notification import api, handlers, timers, usecases
from services.notification.domain import templates
from services.notification.domain.window import Rules, Window
from services.notification.gateway import TwilioSms
from services.notification.usecases import Desk
from shared.runtime import Host, Service
from shared.settings import Sms, Texting

HERE = Path(__file__).parent


def build(host: Host) -> Service:
    """Notification, ready to start. Raises ValueError where the SMS provider's account is not set."""
    engine = host.engine("notification", schema=HERE / "schema")
    sms: Sms = host.settings.sms
    if sms.account_sid is None or sms.auth_token is None or sms.from_number is None:
        raise ValueError("set AMENDS_SMS__ACCOUNT_SID, AMENDS_SMS__AUTH_TOKEN and AMENDS_SMS__FROM_NUMBER: texts need a provider")
    token = sms.auth_token.get_secret_value()
    gateway = TwilioSms(
        account_sid=sms.account_sid,
        auth_token=token,
        sender=sms.from_number,
        callback_url=host.public_url + api.STATUS,
        base_url=sms.base_url,
    )
    desk = Desk(
        engine=engine,
        vault=host.vault,
        words=templates.load((HERE / "policy" / "templates.toml").read_text("utf-8")),
        rules=rules_of(host.settings.texting),
        gateway=gateway,
        public_url=host.public_url,
        pages_url=host.pages_url or host.public_url,
        programme=sms.programme,
        webhook_token=token,
        provider_confirms_stop=sms.provider_confirms_stop,
    )
    return Service(
        engine=engine,
        desk=desk,
        subscribe=partial(handlers.subscribe, desk=desk),
        timers=timers.kinds(desk),
        routes=api.ROUTES,
        loops=(partial(usecases.watch, desk),),
        measure=partial(usecases.measure, desk),
    )


def rules_of(texting: Texting) -> Rules:
    """The settings of texting as the rules of the domain."""
    states = {state: Window(window.start, window.end) for state, window in texting.per_state.items()}
    return Rules(
        Window(texting.start, texting.end), states, texting.per_day, texting.per_week, texting.exempt_per_day, texting.exempt_per_week,
        timedelta(seconds=texting.undo_seconds),
    )  # fmt: skip
