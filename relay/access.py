"""What a relay shows to the broker, by the settings: the certificates that it trusts, and a user's key or password."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final
from urllib.parse import urlsplit

from common.errors import BadSettingError, RelayError
from common.hosts import is_loopback
from common.secret_files import read_secret
from common.settings import Settings
from relay.nkey import Nkey

TLS: Final = "tls"

INBOX: Final = "_INBOX"
"""Where answers to a user come that has no name."""


@dataclass(frozen=True)
class Access:
    """The client's options, whether it must not speak without TLS, and where answers come."""

    options: dict[str, Any]
    check_tls: Callable[[], None]
    public_key: str | None = None
    inbox: str = INBOX


def name_inbox(user: str) -> str:
    """Name where the answers to a user come, by its public key or its name: other users have no right to read there."""
    return f"{INBOX}_{user}"


def read_access(settings: Settings, is_tls: Callable[[], bool] = lambda: True) -> Access:
    """Read the files that the settings name; ``is_tls`` says how the server is spoken to. Raises BadSettingError."""
    urls = settings.relay_nats_url
    if not urls:
        raise BadSettingError("RELAY_NATS_URL", None, "the URLs of the servers, like tls://nats-1.example:4222")
    schemes = {urlsplit(url).scheme for url in urls}
    for url in urls:
        found = urlsplit(url)
        if found.scheme != TLS and settings.auth != "off" and not is_loopback(found.hostname or ""):
            raise BadSettingError("RELAY_NATS_URL", url, 'tls beyond loopback, or AUTH="off"')
    if len(schemes) > 1:
        raise BadSettingError("RELAY_NATS_URL", ",".join(urls), "URLs that are all of tls, or all of nats")

    def check_tls() -> None:
        # The server says whether it wants TLS. Whoever answers in its place would get a password, or trades.
        if schemes == {TLS} and not is_tls():
            raise RelayError("tls", "connecting: the server does not offer TLS")

    access = _read_user(settings, check_tls)
    return replace(access, options=access.options | {"tls": _trust(settings)})


def _trust(settings: Settings) -> ssl.SSLContext:
    path = settings.relay_ca_file
    try:
        return ssl.create_default_context(cafile=None if path is None else str(path))
    except OSError as error:
        raise BadSettingError("RELAY_CA_FILE", str(path), f"a file with certificates in PEM: {error}") from error


def _read_user(settings: Settings, check_tls: Callable[[], None]) -> Access:
    if settings.relay_nkey_file is not None:
        if settings.relay_user or settings.relay_password_file is not None:
            expected = "nothing, since RELAY_NKEY_FILE is set"
            raise BadSettingError("RELAY_USER or RELAY_PASSWORD_FILE", "set", expected)
        try:
            key = Nkey.read(read_secret("RELAY_NKEY_FILE", settings.relay_nkey_file))
        except ValueError:
            expected = "a file with the seed of a user's key, like SU…"
            raise BadSettingError("RELAY_NKEY_FILE", str(settings.relay_nkey_file), expected) from None

        def sign(nonce: str) -> bytes:
            check_tls()
            return key.sign(nonce)

        return Access({"signature_cb": sign}, check_tls, key.public, name_inbox(key.public))
    if not settings.relay_user:
        return Access({}, check_tls)
    if settings.relay_password_file is None:
        raise BadSettingError("RELAY_PASSWORD_FILE", None, "a file with the password of RELAY_USER")
    password = read_secret("RELAY_PASSWORD_FILE", settings.relay_password_file)

    def show() -> str:
        check_tls()
        return password

    options = {"user": settings.relay_user, "password": show}
    return Access(options, check_tls, inbox=name_inbox(settings.relay_user))
