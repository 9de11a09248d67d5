"""Encrypted fields: what opens, what must not, rotation, erasure, and the blind index."""

import copy
import hashlib
import hmac
import pickle
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.vault import DataKey, Unreadable, Vault, fresh_key

pytestmark = pytest.mark.unit

OLD, NEW, INDEX = bytes(range(32)), bytes(range(32, 64)), bytes(range(64, 96))
VAULT = Vault.from_keys("k1", {"k1": OLD}, INDEX)
ROTATED = Vault.from_keys("k2", {"k1": OLD, "k2": NEW}, INDEX)
LATER = Vault.from_keys("k2", {"k2": NEW}, INDEX)
PLACE = ("patients", "P-1001", "phone")
KEY, WRAPPED = VAULT.new_key()


def reason(opener: Vault | DataKey, sealed: bytes, place: tuple[str, str, str] = PLACE) -> str:
    with pytest.raises(Unreadable) as caught:
        opener.open(sealed, *place)
    return caught.value.reason


@given(st.text())
def test_what_is_sealed_opens_again(text: str) -> None:
    assert VAULT.unwrap(WRAPPED).open(KEY.seal(text, *PLACE), *PLACE) == text
    assert VAULT.open(VAULT.seal(text, *PLACE), *PLACE) == text


def test_raw_bytes_are_sealed_too() -> None:
    raw = bytes(range(256))
    assert KEY.open_bytes(KEY.seal_bytes(raw, *PLACE), *PLACE) == raw
    assert VAULT.open_bytes(VAULT.seal_bytes(raw, *PLACE), *PLACE) == raw
    assert reason(KEY, KEY.seal_bytes(raw, *PLACE)) == "malformed"


def test_a_row_may_be_named_by_uuid_or_its_text() -> None:
    row = UUID("01939d2e-0000-7000-8000-000000000001")
    assert KEY.open(KEY.seal("hello", "notices", row, "body"), "notices", str(row), "body") == "hello"


def test_the_same_text_never_looks_the_same_and_never_shows() -> None:
    sealed = {KEY.seal("+12125550143", *PLACE) for _ in range(100)}
    assert len(sealed) == 100
    assert not any(b"5550143" in one for one in sealed)


@pytest.mark.parametrize("opener", [KEY, VAULT])
@pytest.mark.parametrize(
    "place",
    [
        ("people", "P-1001", "phone"),
        ("patients", "P-1002", "phone"),
        ("patients", "P-1001", "email"),
        ("patientsP", "-1001", "phone"),
        ("patients", "P-1001p", "hone"),
    ],
)
def test_a_ciphertext_moved_to_another_place_does_not_open(opener: Vault | DataKey, place: tuple[str, str, str]) -> None:
    assert reason(opener, opener.seal("hello", *PLACE), place) == "tampered"


@pytest.mark.parametrize("opener", [KEY, VAULT])
def test_no_changed_bit_and_no_shortened_form_opens(opener: Vault | DataKey) -> None:
    sealed = opener.seal("hello", *PLACE)
    for n in range(len(sealed) * 8):
        changed = bytearray(sealed)
        changed[n // 8] ^= 1 << n % 8
        with pytest.raises(Unreadable):
            opener.open(bytes(changed), *PLACE)
    for n in range(len(sealed)):
        with pytest.raises(Unreadable):
            opener.open(sealed[:n], *PLACE)
    with pytest.raises(Unreadable):
        opener.open(sealed + b"\0", *PLACE)


@settings(max_examples=200)
@given(st.binary(max_size=80))
def test_noise_is_unreadable_and_nothing_else(noise: bytes) -> None:
    for attempt in (lambda: VAULT.open(noise, *PLACE), lambda: KEY.open(noise, *PLACE), lambda: VAULT.unwrap(noise)):
        with pytest.raises(Unreadable):
            attempt()


def test_another_patients_key_does_not_open() -> None:
    other, _ = VAULT.new_key()
    assert reason(other, KEY.seal("hello", *PLACE)) == "unknown-key"


def test_kinds_are_not_taken_for_one_another() -> None:
    assert reason(VAULT, KEY.seal("hello", *PLACE)) == "malformed"
    assert reason(VAULT, WRAPPED) == "malformed"
    assert reason(KEY, VAULT.seal("hello", *PLACE)) == "malformed"
    with pytest.raises(Unreadable):
        VAULT.unwrap(VAULT.seal("x" * 40, "data-key", "", ""))


@pytest.mark.parametrize("gone", [None, b""])
def test_an_erased_key_says_that_it_was_erased(gone: bytes | None) -> None:
    with pytest.raises(Unreadable) as caught:
        VAULT.unwrap(gone)
    assert caught.value.reason == "erased"


def test_rotation_reads_the_old_writes_the_new_and_rewraps() -> None:
    of_old, text = VAULT.seal("hello", *PLACE), KEY.seal("hello", *PLACE)
    assert ROTATED.open(of_old, *PLACE) == "hello"
    assert LATER.open(ROTATED.seal("hello", *PLACE), *PLACE) == "hello"
    assert not ROTATED.is_current(WRAPPED)
    again = ROTATED.rewrap(WRAPPED)
    assert ROTATED.is_current(again)
    assert ROTATED.rewrap(again) is again
    assert LATER.unwrap(again).open(text, *PLACE) == "hello"
    assert reason(LATER, of_old) == "unknown-key"
    with pytest.raises(Unreadable, match="'k1' is not held here"):
        LATER.unwrap(WRAPPED)


def test_another_key_under_the_same_id_does_not_open() -> None:
    impostor = Vault.from_keys("k1", {"k1": NEW}, INDEX)
    assert reason(impostor, VAULT.seal("hello", *PLACE)) == "tampered"


def test_the_blind_index_is_stable_by_purpose_and_keyed() -> None:
    phone = VAULT.index("phone", "+12125550143")
    assert phone == VAULT.index("phone", "+12125550143") == ROTATED.index("phone", "+12125550143")
    assert len({phone, VAULT.index("household", "+12125550143"), VAULT.index("phone", "+12125550144")}) == 3
    assert VAULT.index("phone", "+1") != VAULT.index("phone+", "1")
    assert Vault.from_keys("k1", {"k1": OLD}, fresh_key()).index("phone", "+12125550143") != phone
    # Goal: the index outlives releases. Method: the construction spelled out once more, by hand.
    assert phone == hmac.new(INDEX, b"\0\0\0\5phone+12125550143", hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("current", "keys", "index"),
    [
        ("k2", {"k1": OLD}, INDEX),
        ("k1", {"k1": OLD[:16]}, INDEX),
        ("k1", {"k1": OLD}, INDEX[:31]),
        ("", {"": OLD}, INDEX),
        ("k1", {"k1": OLD, "k" * 65: NEW}, INDEX),
        ("k1", {"k1": OLD}, OLD),
    ],
)
def test_keys_that_cannot_work_are_refused_at_once_without_being_shown(current: str, keys: dict[str, bytes], index: bytes) -> None:
    with pytest.raises(ValueError, match="key") as caught:
        Vault.from_keys(current, keys, index)
    assert not any(repr(key)[2:-1] in str(caught.value) for key in (*keys.values(), index))


@pytest.mark.parametrize("secret", [VAULT, KEY])
def test_keys_are_neither_shown_nor_copied_out(secret: Vault | DataKey) -> None:
    assert "x01" not in repr(secret)
    assert not hasattr(secret, "__dict__")
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)


def test_a_form_written_by_an_earlier_release_still_opens() -> None:
    """Goal: nobody changes the layout by accident. Method: a ciphertext kept here, made when version 1 was written."""
    kept = bytes.fromhex("0101026b311f6127cfb5dea860c280edaa5f24e67ecfae0d85ebe9f238f9ad96410b24a6add3")
    assert VAULT.open(kept, *PLACE) == "hello"


def test_a_mark_is_known_again_in_its_place_under_its_key_and_nowhere_else() -> None:
    mark = KEY.mark(b"Ana Example", *PLACE)
    assert VAULT.unwrap(WRAPPED).mark(b"Ana Example", *PLACE) == mark and len(mark) == 16
    other, _ = VAULT.new_key()
    elsewhere = [
        KEY.mark(b"Ana Example", "patients", "P-1002", "phone"),
        KEY.mark(b"Ana Examplf", *PLACE),
        other.mark(b"Ana Example", *PLACE),
    ]
    assert mark not in elsewhere
