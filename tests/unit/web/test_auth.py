"""Who is asking: assertions, kept keys, roles, walls."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from litestar import get

from shared.kernel.clock import machine_now
from shared.kernel.errors import Rejected
from shared.web import Access, Auth, Principal, requires
from shared.web.auth import ROLE_SCOPES, hash_secret, mint_assertion, verify_assertion
from tests.unit.web.sample import bearer, client_of, sample_app

pytestmark = pytest.mark.unit

KEY = Ed25519PrivateKey.generate()
NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ANA = Principal("person", "ana", "ana", "store_manager", ("store-12",), (), frozenset({"parked:write"}))
PAT = Principal("patient", "link-1", case_id="c-1")


def test_an_assertion_says_who_and_not_what_they_may() -> None:
    """The scopes of the token's maker are not believed: they come from the role."""
    read = verify_assertion(KEY.public_key(), mint_assertion(KEY, ANA, "escalation", NOW), "escalation", NOW)
    assert (read.staff_id, read.role, read.locations, read.scopes) == ("ana", "store_manager", ("store-12",), ROLE_SCOPES["store_manager"])
    assert not read.may("parked:write")


@pytest.mark.parametrize("after", [timedelta(seconds=60), timedelta(seconds=-6), timedelta(days=1)])
def test_an_assertion_lives_sixty_seconds(after: timedelta) -> None:
    token = mint_assertion(KEY, ANA, "escalation", NOW)
    verify_assertion(KEY.public_key(), token, "escalation", NOW + timedelta(seconds=59))
    with pytest.raises(Rejected):
        verify_assertion(KEY.public_key(), token, "escalation", NOW + after)


def test_assertions_for_others_by_others_or_altered_are_refused() -> None:
    token = mint_assertion(KEY, ANA, "escalation", NOW)
    head, payload, signature = token.split(".")
    other = mint_assertion(KEY, PAT, "escalation", NOW).split(".")[1]
    key = Principal("key", "writer", scopes=frozenset({"cases:write"}))
    stranger = Ed25519PrivateKey.generate()
    wrong = [
        mint_assertion(KEY, ANA, "intake", NOW),
        mint_assertion(stranger, ANA, "escalation", NOW),
        mint_assertion(KEY, key, "escalation", NOW),
        mint_assertion(KEY, Principal("patient", "link-1"), "escalation", NOW),
        mint_assertion(KEY, Principal("person", "x", "x", "owner"), "escalation", NOW),
        *(f"{head}.{other}.{signature}", f"v2.{payload}.{signature}", f"{head}.{payload}.", f"{head}.{payload}"),
        *("", "..", "é.é.é", f"{head}.{payload}.{signature}x"),
    ]
    for one in wrong:
        with pytest.raises(Rejected) as caught:
            verify_assertion(KEY.public_key(), one, "escalation", NOW)
        assert caught.value.code == "unauthenticated"


async def test_a_patient_passes_only_where_the_door_says_so() -> None:
    @get("/v1/cases/{case_id:str}", guards=[requires("cases:read", patient_too=True)])
    async def one_case(principal: Principal, case_id: str) -> dict[str, bool]:
        """One case."""
        return {"sees": principal.sees_case(case_id, "store-12", "north")}

    app = sample_app(console_key=KEY.public_key(), more=[one_case])
    headers = {"authorization": "Bearer " + mint_assertion(KEY, PAT, "sample", machine_now())}
    async with client_of(app) as client:
        assert (await client.get("/v1/cases/c-1", headers=headers)).json() == {"sees": True}
        assert (await client.get("/v1/cases/c-2", headers=headers)).json() == {"sees": False}
        assert (await client.get("/v1/orders", headers=headers)).status_code == 403
        assert (await client.get("/v1/orders", headers=bearer("reader"))).status_code == 200


def test_walls_between_stores() -> None:
    region = Principal("person", "rob", "rob", "regional_manager", (), ("north",))
    machine, admin = Principal("key", "k"), Principal("person", "a", "a", "admin")
    assert ANA.sees("store-12", "north") and not ANA.sees("store-13", "north") and not ANA.sees(None, None)
    assert region.sees("store-13", "north") and not region.sees("store-12", "south")
    assert machine.sees("store-1", None) and admin.sees("store-1", None)
    assert not PAT.sees("store-12", "north")
    assert not Principal("person", "x", "x", "associate").sees("store-12", "north")


class Directory:
    """A local copy of access that counts how often it is read."""

    def __init__(self) -> None:
        self.key_id, secret = "k1", "s" * 48
        self.key, kept = f"amk_{self.key_id}_{secret}", hash_secret(secret)
        self.row, self.reads, self.version = Access(self.key_id, kept, frozenset({"cases:read"})), 0, 1

    async def lookup(self, key_id: str) -> Access | None:
        self.reads += 1
        return self.row if key_id == self.key_id else None


async def test_a_key_is_read_once_until_the_directory_changes() -> None:
    from dataclasses import replace

    from litestar.connection import ASGIConnection

    directory = Directory()
    auth = Auth(audience="x", lookup=directory.lookup, version=lambda: directory.version)
    scope = {"type": "http", "headers": [(b"authorization", b"Bearer " + directory.key.encode())]}

    async def ask() -> Principal | None:
        return await auth.identify(ASGIConnection(dict(scope)))  # type: ignore[arg-type]

    first, again = await ask(), await ask()
    assert first == again and first is not None and first.scopes == {"cases:read"}
    assert directory.reads == 1
    directory.row, directory.version = replace(directory.row, revoked=True), 2
    with pytest.raises(Rejected):
        await ask()
    assert directory.reads == 2


def test_a_guard_knows_every_scope() -> None:
    with pytest.raises(ValueError, match="cases:destroy"):
        requires("cases:destroy")
