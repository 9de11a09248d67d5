"""What is outside, and what is set: the SMS provider, the address we are reached by, keys, exporters, mileage rates."""

import re
import stat
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import httpx

from services.command.doctor.finding import Around, Finding, failed, ok, warning
from services.intake.store import any_wrapped_key
from services.restitution.__main__ import policies
from shared.embedded.keys import keys_of
from shared.kernel.clock import machine_now
from shared.telemetry import traces
from shared.vault import Unreadable, Vault

ANSWER_SECONDS: Final = 6.0
_SID, _TOKEN = re.compile(r"AC[0-9a-f]{32}"), re.compile(r"[0-9a-f]{32}")


async def provider(around: Around) -> list[Finding]:
    """Whether the SMS provider knows us; nothing is texted."""
    sms = around.settings.sms
    given = {"ACCOUNT_SID": sms.account_sid, "AUTH_TOKEN": sms.auth_token, "FROM_NUMBER": sms.from_number}
    missing = [f"AMENDS_SMS__{name}" for name, value in given.items() if not value]
    if len(missing) == len(given) and around.is_embedded:
        return [ok("provider", "texts go to the phone at /dev/phone; nobody is texted")]
    if len(missing) == len(given):
        fix = "Set AMENDS_SMS__ACCOUNT_SID, AMENDS_SMS__AUTH_TOKEN and AMENDS_SMS__FROM_NUMBER; what waits leaves then."
        return [warning("provider", "none is set: every text waits, pages too", fix)]
    if missing or sms.account_sid is None or sms.auth_token is None:
        return [failed("provider", f"{', '.join(missing)} missing", "Set account, secret and number of your SMS provider.")]
    token = sms.auth_token.get_secret_value()
    if not _SID.fullmatch(sms.account_sid) or not _TOKEN.fullmatch(token):
        fix = "Copy AMENDS_SMS__ACCOUNT_SID (AC and 32 hex digits) and AMENDS_SMS__AUTH_TOKEN (32) anew from the provider."
        return [failed("provider", "account or secret do not have the form that Twilio gives them", fix)]
    url = f"{sms.base_url.rstrip('/')}/2010-04-01/Accounts/{sms.account_sid}.json"
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, auth=(sms.account_sid, token), trust_env=False) as http:
        try:
            answer = await http.get(url)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            fix = "Let this machine reach it (AMENDS_SMS__BASE_URL, firewall, DNS); texts wait meanwhile."
            return [failed("provider", f"{sms.base_url} does not answer ({type(error).__name__})", fix)]
    if answer.status_code in (401, 403, 404):
        fix = "Set AMENDS_SMS__ACCOUNT_SID and AMENDS_SMS__AUTH_TOKEN to a pair that belongs together."
        return [failed("provider", f"{sms.base_url} does not know account and secret ({answer.status_code})", fix)]
    state = answer.json().get("status") if answer.headers.get("content-type", "").startswith("application/json") else None
    if answer.status_code != 200 or state not in (None, "active"):
        fix = "Look at the account in the provider's console."
        return [failed("provider", f"the account is not in order ({state or answer.status_code})", fix)]
    return [ok("provider", f"{sms.base_url} knows the account; texts come from {sms.from_number}")]


async def address(around: Around) -> list[Finding]:
    """Whether patients and the provider's callbacks can reach us."""
    url = around.settings.http.public_url
    if around.settings.sms.account_sid is None and (around.is_embedded or url is None):
        return [ok("address", f"{url or 'this machine only'}; without a provider nobody needs another")]
    if url is None:
        fix = "Set AMENDS_HTTP__PUBLIC_URL to the https address patients and the provider reach us by."
        return [failed("address", "AMENDS_HTTP__PUBLIC_URL is missing", fix)]
    parts = urlsplit(url)
    if _is_private(parts.hostname or ""):
        fix = "Name an address of the internet in AMENDS_HTTP__PUBLIC_URL: delivery reports, answers and STOP come in by it."
        return [failed("address", f"{url} can be reached from here alone", fix)]
    found = []
    if parts.scheme != "https":
        fix = "Put a certificate in front and name the https address: links and callbacks carry secrets."
        found.append(failed("address", f"{url} is not https", fix))
    async with httpx.AsyncClient(timeout=ANSWER_SECONDS, trust_env=False, follow_redirects=False) as http:
        try:
            answer = await http.get(f"{url}/livez")
            if answer.status_code != 200:
                fix = "Let the proxy in front hand every path on to Amends, without a redirect and without a sign-in."
                found.append(failed("address", f"{url}/livez answers {answer.status_code}", fix))
        except httpx.HTTPError as error:
            fix = "Check DNS, certificate and the proxy in front; from inside it may need to be let out, too."
            found.append(failed("address", f"{url} does not answer ({type(error).__name__})", fix))
    return found or [ok("address", f"{url} answers")]


def _is_private(host: str) -> bool:
    try:
        return not ip_address(host).is_global
    except ValueError:
        return host == "localhost" or "." not in host or host.endswith((".local", ".internal", ".localhost"))


async def keys(around: Around) -> list[Finding]:
    """Whether the vault's keys are whole, and open what is stored."""
    chosen, file = around.settings.vault, around.data / "keys.json"
    if around.is_embedded and not file.exists():
        return [ok("vault keys", "none yet; the first `amends up` makes them")] if around.place is None else []
    made = keys_of(around.data) if around.is_embedded else None
    found = []
    if made is not None and stat.S_IMODE(file.stat().st_mode) & 0o077:
        found.append(failed("vault keys", f"{file} can be read by others", f"chmod 600 {file}"))
    try:
        vault = Vault.from_text(*(chosen.texts(made.master_key, made.index_key) if made else chosen.texts()))
    except ValueError as fault:
        fix = "Put the key back as it was; a new one is made with `openssl rand -base64 32`, and opens nothing that is stored."
        return [*found, failed("vault keys", str(fault), fix)]
    if around.place is not None:
        async with around.place.pool("intake") as pool:
            stored = await any_wrapped_key(pool)
        try:
            if stored is not None:
                vault.unwrap(stored)
        except Unreadable:
            fix = "Put the master key back that data was sealed with, or add it to AMENDS_VAULT__RETIRED_KEYS."
            return [*found, failed("vault keys", "the keys do not open what is stored", fix)]
    return found or [ok("vault keys", f"new data is sealed with {chosen.key_id}; {len(chosen.retired_keys)} retired keys")]


async def exporter(around: Around) -> list[Finding]:
    """Whether traces that are asked for can leave."""
    try:
        wanted = traces.exporter_of(around.environ)
    except traces.TracesMisconfigured as fault:
        detail, _, fix = str(fault).partition(";")
        fix = fix.strip() or "Set it to one of these, or unset it."
        return [failed("traces", detail, f"{fix[:1].upper()}{fix[1:]}")]
    return [ok("traces", "off" if wanted is None else f"exported by {type(wanted).__name__}")]


async def mileage(around: Around) -> list[Finding]:
    """How long mileage rates are known for."""
    last = policies().rates_end()
    if last is None:
        return [failed("mileage", "no rate is known", "Add the rates to services/restitution/policy/mileage.toml.")]
    left = (last - machine_now().date()).days
    detail = f"the last known rate ends on {last}, in {left} days" if left >= 0 else f"the last known rate ended on {last}"
    fix = "Add the new rate to services/restitution/policy/mileage.toml; trips without one are referred to a person."
    if left < 0:
        return [failed("mileage", detail, fix)]
    return [warning("mileage", detail, fix) if left <= around.settings.mileage.warn_days else ok("mileage", detail)]
