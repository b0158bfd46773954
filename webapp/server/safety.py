"""Safety at the start: an address that others reach needs a credential, unless AUTH is off."""

import ipaddress
import logging
import socket
from collections.abc import Iterable

from common.credentials import FIRST_TOKEN
from common.settings import Settings

_log = logging.getLogger(__name__)


def find_danger(settings: Settings, listeners: Iterable[socket.socket], *, has_credentials: bool) -> str | None:
    """Return why the web process must not start as it is set, None when it may; what it warns of is logged."""
    if settings.auth == "off":
        _log.warning(
            "access is not protected", extra={"detail": "AUTH is off: everyone who reaches the address has access"}
        )
        return None
    if has_credentials:
        return None
    if settings.auth == "required":
        _log.warning(
            "no credential exists", extra={"detail": f"AUTH is required, and no token was made: {FIRST_TOKEN}"}
        )
        return None
    exposed = next((name for name in map(_name, listeners) if name is not None), None)
    if exposed is not None:
        what = f"it listens on {exposed}, which other hosts reach,"
    elif settings.trusted_proxies:
        what = "TRUSTED_PROXIES lets other hosts reach it,"
    else:
        return None
    return f"{what} and no token was made; make one with {FIRST_TOKEN}, or set AUTH to off"


def _name(listener: socket.socket) -> str | None:
    """Return the address of a listener, None when only this host reaches it."""
    if listener.family not in {socket.AF_INET, socket.AF_INET6}:
        return None
    host: str = listener.getsockname()[0]
    return None if ipaddress.ip_address(host.partition("%")[0]).is_loopback else host
