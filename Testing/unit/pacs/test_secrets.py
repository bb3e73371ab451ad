"""Passwords in a keyring: kept for one address and user, and nowhere where it would be readable."""

from __future__ import annotations

from collections.abc import Iterator

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.backends.null
import keyring.errors
import pytest

from VQBEGALLib.errors import VQBEGALError
from VQBEGALLib.pacs import Secret, Server, forget, keyring_available, remember, remembered


class Memory(keyring.backend.KeyringBackend):
    """A real back end that keeps passwords in memory."""

    priority = 5

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service: str, username: str) -> str | None:
        self._check()
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self._check(password)
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        self._check()
        del self.kept[service, username]

    def _check(self, password: str = "") -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked(f"locked; {password}")


class Readable(Memory):
    """As those that write passwords to a file as they are."""

    priority = 0.5


def use(backend: keyring.backend.KeyringBackend) -> keyring.backend.KeyringBackend:
    keyring.set_keyring(backend)
    return backend


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


PACS = Server(name="PACS", url="https://pacs.example.org/dicom-web", user="clinician", auth="basic")


def test_a_password_is_kept_returned_and_forgotten():
    memory = use(Memory())
    assert keyring_available()
    assert remembered(PACS) is None
    remember(PACS, Secret("pass-Wört"))
    assert remembered(PACS).reveal() == "pass-Wört"
    assert [service for service, _ in memory.kept] == ["VQBEGAL"]
    forget(PACS)
    forget(PACS)
    assert remembered(PACS) is None
    assert memory.kept == {}


def test_no_other_address_or_user_gets_it():
    use(Memory())
    remember(PACS, Secret("pass-Wört"))
    fields = PACS.to_json()
    assert remembered(Server(**fields | {"name": "another name", "url": "https://pacs.example.org/other"}))
    for change in (
        {"url": "https://pacs.example.com/dicom-web"},
        {"url": "https://pacs.example.org:8443/dicom-web"},
        {"url": "http://pacs.example.org/dicom-web", "plain": True},
        {"user": "somebody"},
        {"auth": "bearer"},
    ):
        assert remembered(Server(**fields | change)) is None


@pytest.mark.parametrize("backend", [keyring.backends.fail.Keyring, keyring.backends.null.Keyring, Readable])
def test_without_a_safe_keyring_a_sentence_says_so(backend: type[keyring.backend.KeyringBackend]):
    use(backend())
    assert not keyring_available()
    assert remembered(PACS) is None
    with pytest.raises(VQBEGALError, match="no keyring to keep passwords in"):
        remember(PACS, Secret("pass-Wört"))
    forget(PACS)


def test_a_locked_keyring_is_asked_to_be_unlocked_without_quoting():
    memory = use(Memory())
    remember(PACS, Secret("old"))
    memory.locked = True
    assert remembered(PACS) is None
    with pytest.raises(VQBEGALError, match="Unlock it") as error:
        remember(PACS, Secret("pass-Wört"))
    assert error.value.__context__ is None
    assert "pass-Wört" not in str(error.value)
