"""The Host and Origin rules of both HTTP servers: they reject pages that were served under other names (DNS rebinding).

Sources: RFC 9110 section 7.2, RFC 9112 section 3.2, RFC 6454.
"""

import ipaddress
import re
from collections.abc import Collection
from typing import Final

from common.errors import TelemetryError

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing; every other one counts as a write."""

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9.-]{1,255})(?::([0-9]{1,5}))?")
_ORIGIN = re.compile(r"(https?)://(.+)", re.IGNORECASE)
_TARGET = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_PORT_MAX: Final = 65_535
_SHOWN: Final = 64

Authority = tuple[str, int | None]


class RequestRejectedError(TelemetryError):
    """A request whose Host (``reason`` is ``host``) or Origin (``origin``) is not allowed."""


class HostRule:
    """Which names a server answers to, and which origins may write to it."""

    def __init__(self, configured: str, allowed: Collection[str] = (), origins: Collection[str] = ()) -> None:
        """Take the host that the server listens on, further names, and origins beside its own (``*``: any)."""
        self._names = {name.lower().removesuffix(".") for name in (configured, *allowed)}
        self._origins = {origin.lower() for origin in origins}

    def check_host(self, host: str | None, target: str | None, version: str) -> None:
        """Check the Host header and the request target, None where there is none.

        Raises RequestRejectedError.
        """
        named = _TARGET.match(target or "")
        if host is None:
            if version != "HTTP/1.0":
                raise _reject_host("is missing")
            if named is None:
                # Browsers always send it, so no page can leave it out.
                return
            host = named[1]
        found = read_authority(host)
        if found is None or not self._allows(found[0]):
            raise _reject_host(f"is {_show(host)}")
        if named is not None and read_authority(named[1]) != found:
            raise _reject_host(f"is {_show(host)}, but the request target names {_show(named[1])}")

    def check_origin(self, method: str, origin: str | None, host: str | None) -> None:
        """Check the Origin header of a write; other requests pass. Raises RequestRejectedError."""
        if origin is None or method in SAFE_METHODS or is_same_origin(origin, host or ""):
            return
        if origin.lower() in self._origins or ("*" in self._origins and origin.lower() != "null"):
            return
        expected = "a page may write to the server that it came from, and one that WEBAPP_CORS_ORIGINS names"
        raise RequestRejectedError("origin", f"Origin is {_show(origin)}; {expected}")

    def _allows(self, name: str) -> bool:
        if name == "localhost" or name in self._names:
            return True
        if name.endswith(".localhost"):
            return all(name.split("."))
        try:
            # A page under an IP address was served by that address, so it is of the same site.
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True


def is_same_origin(origin: str, host: str) -> bool:
    """Return whether an Origin names the host and port of a Host header; schemes may differ, as TLS ends at a proxy."""
    given, own = _ORIGIN.fullmatch(origin), read_authority(host)
    there = read_authority(given[2]) if given else None
    if given is None or there is None or own is None:
        return False
    default = _DEFAULT_PORTS[given[1].lower()]
    return (there[0], there[1] or default) == (own[0], own[1] or default)


def is_loopback(name: str) -> bool:
    """Return whether a host name or an address leads to this machine only."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost" or name.endswith(".localhost")


def read_authority(text: str) -> Authority | None:
    """Parse ``host[:port]``, with the host normalised; None when it is malformed."""
    found = _AUTHORITY.fullmatch(text)
    if found is None or (found[2] and not 1 <= int(found[2]) <= _PORT_MAX):
        return None
    name = found[1].lower().removesuffix(".")
    if name.startswith("["):
        try:
            name = str(ipaddress.IPv6Address(name[1:-1]))
        except ValueError:
            return None
    return name, int(found[2]) if found[2] else None


def _reject_host(what: str) -> RequestRejectedError:
    expected = "expected an address, localhost, the host that the server is set to, or a name in ALLOWED_HOSTS"
    return RequestRejectedError("host", f"Host {what}; {expected}")


def _show(text: str) -> str:
    return ascii(text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…")
