"""Owns every setting of Amends: one frozen tree, read once at the door (`read`), handed on as arguments.

A setting is an environment variable `AMENDS_PART__FIELD` (`__` between the levels). A secret may come from a file
instead: `AMENDS_PART__FIELD_FILE` names it, its last newline is dropped. A name that starts with `AMENDS_` and is no
setting stops the start: a misspelt setting that is silently ignored is found on the day it was needed.
"""

import difflib
import json
import os
from collections.abc import Iterator, Mapping
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Final, Literal, get_args, get_origin
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, JsonValue, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

PREFIX = "AMENDS_"

Seconds = Annotated[int, Field(ge=0, le=365 * 24 * 3600)]
Port = Annotated[int, Field(ge=0, le=65535)]
Address = Annotated[str, Field(pattern=r"^https?://[^\s/]+(/[^\s/]+)*$")]

# Where each service answers when nothing else is said, as the public contract has it.
PORTS: Final = {"directory": 8085, "intake": 8081, "escalation": 8082, "restitution": 8083, "notification": 8084, "console": 8080}
SERVICES: Final = tuple(PORTS)


# A field that is no secret and may come from a file all the same.
FROM_FILE: Final[dict[str, JsonValue]] = {"from_file": True}


class SettingsError(Exception):
    """The settings cannot be used; the message is one sentence per fault and says what to do."""


class Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Http(Part):
    host: str = Field("127.0.0.1", description="The address that the pages and the API listen on.")
    port: Port | None = Field(
        None,
        description="The port that the pages and the API listen on; 0 picks a free one. Without it 8080, and where each service has its own"
        " process 8080 for the console, 8081 intake, 8082 escalation, 8083 restitution, 8084 notification, 8085 directory.",
    )
    public_url: Address | None = Field(
        None,
        description="The address that patients and providers reach this process by, without a slash at the end; links in texts and webhook"
        " signatures are made from it. Without it, the address that is listened on.",
    )
    pages_url: Address | None = Field(
        None,
        description="The address of patients' pages, for links in texts, where notification is reached by another than the console. Without"
        " it, the public address.",
    )

    def port_of(self, service: str) -> int:
        """The port that was chosen, else the one that the contract gives to `service`; 0 is any."""
        return PORTS[service] if self.port is None else self.port


class Urls(Part):
    """Where the processes find one another."""

    directory: Address = Field("http://localhost:8085", description="Where the directory answers, where each service has its own process.")
    intake: Address = Field("http://localhost:8081", description="Where intake answers.")
    escalation: Address = Field("http://localhost:8082", description="Where escalation answers.")
    restitution: Address = Field("http://localhost:8083", description="Where restitution answers.")
    notification: Address = Field("http://localhost:8084", description="Where notification answers.")
    console: Address = Field("http://localhost:8080", description="Where the console answers.")

    def by_service(self) -> dict[str, str]:
        """Each service's address."""
        return {service: getattr(self, service) for service in SERVICES}


class Kafka(Part):
    bootstrap_servers: str | None = Field(
        None, description="host:port of your own Kafka brokers, separated by commas; without it an embedded Kafka is started."
    )
    embedded_port: Port = Field(0, description="The port of the embedded Kafka; 0 picks a free one and keeps it while it stays free.")
    replication_factor: int = Field(1, ge=1, le=7, description="On how many brokers each topic is kept; 3 in production.")
    partitions: int | None = Field(
        None,
        ge=1,
        le=1024,
        description="How many partitions a topic is created with. Without it 4; 1 on the embedded Kafka, where one process reads them all.",
    )
    ingress_retention_hours: int = Field(
        24, ge=1, description="How long the topic amends.ingress.v1, which holds patients' words, is kept."
    )
    retention_ms: int = Field(-1, ge=-1, description="How long topics without personal data are kept; -1 for ever, which replay needs.")
    member: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="The lasting name of this process among those of its service: after a crash the broker hands it its partitions back at"
        " once. No two running processes of a service may share one; without it a crash costs ten seconds.",
    )

    @property
    def topics(self) -> dict[str, int]:
        """How topics are made, as `Process` takes it."""
        return {
            "partitions": self.partitions or (1 if self.bootstrap_servers is None else 4),
            "replication_factor": self.replication_factor,
            "retention_ms": self.retention_ms,
            "ingress_hours": self.ingress_retention_hours,
        }


class Postgres(Part):
    dsn: SecretStr | None = Field(
        None, description="postgresql://… of your own PostgreSQL (15 to 18); without it an embedded PostgreSQL is started."
    )
    directory: SecretStr | None = Field(None, description="The DSN of the directory's own role; beats `dsn`.")
    intake: SecretStr | None = Field(None, description="The DSN of intake's own role; beats `dsn`.")
    escalation: SecretStr | None = Field(None, description="The DSN of escalation's own role; beats `dsn`.")
    restitution: SecretStr | None = Field(None, description="The DSN of restitution's own role; beats `dsn`.")
    notification: SecretStr | None = Field(None, description="The DSN of notification's own role; beats `dsn`.")
    console: SecretStr | None = Field(None, description="The DSN of the console's own role; beats `dsn`.")
    pool_size: int = Field(
        10, ge=4, le=200, description="How many connections one service may hold; the relay keeps one of them, the timers another."
    )

    @field_validator("dsn", *SERVICES)
    @classmethod
    def check_dsn(cls, value: SecretStr | None) -> SecretStr | None:
        """Here, for whoever reads it further in complains without the setting's name. The value is quoted nowhere: it holds a password."""
        try:
            parts = urlsplit(value.get_secret_value() if value else "postgresql://")
            is_one = parts.scheme in ("postgresql", "postgres") and parts.port != 0
        except ValueError:
            is_one = False
        if not is_one:
            raise ValueError("it is no address such as postgresql://user:password@host:5432/database")
        return value

    def dsn_of(self, service: str) -> str | None:
        """The DSN that `service` connects by: its own, else the common one, else None (embedded)."""
        own: SecretStr | None = getattr(self, service)
        chosen = own or self.dsn
        return chosen.get_secret_value() if chosen else None

    @property
    def is_embedded(self) -> bool:
        """True when no DSN at all is named."""
        return all(self.dsn_of(service) is None for service in SERVICES)


class Sms(Part):
    account_sid: str | None = Field(None, description="The account at the SMS provider (Twilio: AC…).")
    auth_token: SecretStr | None = Field(None, description="The provider's secret: it signs callbacks and opens the API.")
    from_number: str | None = Field(None, pattern=r"^\+[1-9]\d{6,14}$", description="The number texts come from, in E.164.")
    base_url: str = Field("https://api.twilio.com", description="Where the provider's API is; embedded it is the phone at /dev/phone.")
    provider_confirms_stop: bool = Field(False, description="True when the provider itself answers STOP, so that we do not answer too.")
    programme: str = Field("Amends", max_length=30, description="Who is texting, as the first text to a number and the answer to HELP say.")


class Email(Part):
    host: str | None = Field(
        None, description="The mail server by which pages to staff leave where a ladder says `email`; none: texts instead."
    )
    port: int = Field(587, ge=1, le=65_535, description="The port of the mail server.")
    security: Literal["starttls", "tls", "none"] = Field("starttls", description="How the connection to it is secured.")
    username: str | None = Field(None, description="The name we sign in with there, where it asks.")
    password: SecretStr | None = Field(None, description="The password that goes with it.")
    sender: str | None = Field(None, pattern=r"^[^@\s]+@[^@\s]+$", description="The address that pages come from.")


class Webhook(Part):
    url: str | None = Field(
        None, description="The https address pages to staff are posted to where a ladder says `webhook`; none: texts instead."
    )
    per_region: dict[str, str] = Field({}, description='Other addresses by region, as JSON: {"north": "https://…"}.')
    secret: SecretStr | None = Field(None, description="What they are signed with, as Standard Webhooks spell it: whsec_ and base64.")


class VaultKeys(Part):
    key_id: str = Field("k1", pattern=r"^[a-z0-9-]{1,16}$", description="The name of the master key that new data is sealed with.")
    master_key: SecretStr | None = Field(
        None,
        description="The master key, 32 bytes in base64; required unless everything is embedded, where one is kept in the data folder.",
    )
    retired_keys: dict[str, SecretStr] = Field(
        {}, description='Earlier master keys that data is still read with, as JSON: {"k0": "<base64>"}.'
    )
    index_key: SecretStr | None = Field(None, description="The key of the blind indexes, 32 bytes in base64; it is never rotated.")

    def texts(self, master_key: str = "", index_key: str = "") -> tuple[str, dict[str, str], str]:
        """The current key's name, all master keys, the index key, as `Vault.from_text` takes them; the arguments replace missing ones."""
        current = self.master_key.get_secret_value() if self.master_key else master_key
        retired = {key_id: key.get_secret_value() for key_id, key in self.retired_keys.items()}
        return self.key_id, {**retired, self.key_id: current}, self.index_key.get_secret_value() if self.index_key else index_key


class SignIn(Part):
    assertion_private_key: SecretStr | None = Field(
        None, description="Ed25519 private key (PEM) by which the console vouches for a signed-in person; only the console needs it."
    )
    assertion_public_key: str | None = Field(
        None,
        description="The matching public key (PEM), by which services check the console's word; `…_FILE` works here too.",
        json_schema_extra=FROM_FILE,
    )
    demo_people: bool = Field(
        False,
        description="True where whoever reaches the console may sign in as anybody of the directory, without a password: for trying it out,"
        " never with real patients. Embedded it is always so.",
    )
    session_idle_seconds: Seconds = Field(900, description="How long a session lives without a click.")
    session_max_seconds: Seconds = Field(43200, description="How long a session lives at most.")


class Window(Part):
    start: time = Field(time(9), description="Local time from which patients may be texted.")
    end: time = Field(time(20), description="Local time from which patients may no longer be texted.")

    @model_validator(mode="after")
    def check_order(self) -> "Window":
        """A window that is empty or crosses midnight is refused, so that it fails closed at the start, not at night."""
        if self.start >= self.end or self.start.tzinfo or self.end.tzinfo:
            raise ValueError("start must lie before end, both as plain local times such as 09:00")
        return self


class Texting(Window):
    per_state: dict[str, Window] = Field({}, description='Other windows by US state, as JSON: {"FL": {"start": "09:00", "end": "19:00"}}.')
    per_day: int = Field(3, ge=0, description="The most texts a day to a patient who consented.")
    per_week: int = Field(6, ge=0, description="The most texts a week to a patient who consented.")
    exempt_per_day: int = Field(1, ge=0, description="The most texts a day where only the exemption for health care applies.")
    exempt_per_week: int = Field(3, ge=0, description="The most texts a week where only the exemption for health care applies.")
    undo_seconds: Seconds = Field(30, description="How long a text that a person typed can be taken back.")


class Demo(Part):
    rate: int = Field(60, ge=1, le=3600, description="How many seconds of business time pass in one second of a demo.")
    seed: int = Field(7, description="The seed of the simulated group; the same seed lives the same day.")


class Mileage(Part):
    warn_days: int = Field(30, ge=0, description="How many days before the last known mileage rate ends people are warned.")


class Settings(BaseSettings):
    """All settings; build it with `read`, hand its parts on."""

    model_config = SettingsConfigDict(frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__")

    http: Http = Field(Http(), description="Pages and API.")
    urls: Urls = Field(Urls(), description="The services' addresses.")
    kafka: Kafka = Field(Kafka(), description="The broker.")
    postgres: Postgres = Field(Postgres(), description="The database.")
    sms: Sms = Field(Sms(), description="The SMS provider.")
    email: Email = Field(Email(), description="The mail server.")
    webhook: Webhook = Field(Webhook(), description="Webhooks to staff.")
    vault: VaultKeys = Field(VaultKeys(), description="The keys of encrypted fields.")
    sign_in: SignIn = Field(SignIn(), description="People's sessions.")
    texting: Texting = Field(Texting(), description="When and how often patients are texted.")
    demo: Demo = Field(Demo(), description="The simulated day.")
    mileage: Mileage = Field(Mileage(), description="Mileage rates.")

    def lacks(self) -> list[str]:
        """What is missing, as sentences: nothing but a fully embedded Amends may make its own keys."""
        missing = () if self.is_embedded else (field for field in ("master_key", "index_key") if getattr(self.vault, field) is None)
        return [f"{PREFIX}VAULT__{field.upper()} (or …_FILE) is required with a database or a broker of your own." for field in missing]

    @property
    def is_embedded(self) -> bool:
        """True when both the database and the broker are started by Amends itself."""
        return self.kafka.bootstrap_servers is None and self.postgres.is_embedded

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `read` passes: it has already looked at the environment, more strictly than pydantic does."""
        return (init_settings,)


def read(environ: Mapping[str, str] | None = None, *, with_keys: bool = True) -> Settings:
    """The settings that `environ` (the process environment by default) holds; `with_keys` False where nothing is sealed or opened.

    Raises SettingsError with one sentence per fault: an unknown name, a file that cannot be read, a value that is no such thing.
    """
    source = os.environ if environ is None else environ
    tree: dict[str, Any] = {}
    known = dict(fields())
    faults: list[str] = []
    for name in sorted(source):
        if name.startswith(PREFIX):
            try:
                path, field, text = _one(name, source, known)
                _put(tree, path, _decoded(field, text, name))
            except SettingsError as fault:
                faults.append(str(fault))
    if not faults:
        try:
            settings = Settings(**tree)
        except ValidationError as invalid:
            faults = [_sentence(error["loc"], error["msg"]) for error in invalid.errors()]
        else:
            faults = settings.lacks() if with_keys else []
            if not faults:
                return settings
    raise SettingsError("\n".join(faults))


def fields() -> Iterator[tuple[str, tuple[tuple[str, ...], FieldInfo]]]:
    """Each setting's variable with its path in the tree and its field; `docs/SETTINGS.md` is written from this."""
    for part, holder in Settings.model_fields.items():
        model = holder.annotation
        assert isinstance(model, type) and issubclass(model, Part)
        for name, field in model.model_fields.items():
            yield f"{PREFIX}{part}__{name}".upper(), ((part, name), field)


def is_secret(field: FieldInfo) -> bool:
    """True for a field whose value is never shown and may come from a file."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def may_be_a_file(field: FieldInfo) -> bool:
    """True for a field that `…_FILE` may name a file of."""
    return is_secret(field) or field.json_schema_extra == FROM_FILE


def _one(
    name: str, source: Mapping[str, str], known: Mapping[str, tuple[tuple[str, ...], FieldInfo]]
) -> tuple[tuple[str, ...], FieldInfo, str]:
    if name in known:
        path, field = known[name]
        return path, field, source[name]
    plain = name.removesuffix("_FILE")
    if plain == name or plain not in known or not may_be_a_file(known[plain][1]):
        near = difflib.get_close_matches(name, known, n=1)
        raise SettingsError(f"{name} is not a setting of Amends{f'; did you mean {near[0]}?' if near else '; remove it.'}")
    if plain in source:
        raise SettingsError(f"{plain} and {name} are both set; keep one of them.")
    path, field = known[plain]
    try:
        return path, field, Path(source[name]).read_text(encoding="utf-8").removesuffix("\n")
    except (OSError, UnicodeDecodeError) as fault:
        raise SettingsError(f"{name} names a file that cannot be read ({fault}); check its path and rights.") from fault


def _decoded(field: FieldInfo, text: str, name: str) -> Any:
    # An empty variable is how a compose file or a pod says "not set".
    if text == "" and type(None) in get_args(field.annotation):
        return None
    if get_origin(field.annotation) is not dict:
        return text
    try:
        return json.loads(text)
    except ValueError as fault:
        raise SettingsError(f"{name} must be a JSON object ({fault}).") from fault


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for level in path[:-1]:
        tree = tree.setdefault(level, {})
    tree[path[-1]] = value


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not location:
        return f"{message}."
    variable = PREFIX + "__".join(str(level) for level in location[:2]).upper()
    inside = "".join(f", at {level}" for level in location[2:])
    return f"{variable} cannot be used{inside}: {message[:1].lower()}{message[1:]}."


Kind = Literal["text", "secret"]


def rows() -> list[tuple[str, Kind, str, str]]:
    """One row per setting for the documentation: variable, kind, default as text ("" for none), sentence."""
    found: list[tuple[str, Kind, str, str]] = []
    for name, (_, field) in fields():
        default = "" if field.default is None or field.default == {} else str(field.default)
        found.append((name, "secret" if is_secret(field) else "text", default, field.description or ""))
    return found
