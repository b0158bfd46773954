"""Clients: the one place that decides a request's address, scheme, host and prefix, with what trusted proxies report.

A proxy is trusted by its own address, in TRUSTED_PROXIES. What any other client writes into these headers is ignored.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

from flask import Flask, Request

from common.settings import Settings

PREFIX_LENGTH: Final = 128
"""The longest X-Forwarded-Prefix that is read."""

_SITE_BITS: Final = 64
_FORWARDED: Final = ("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_X_FORWARDED")
_PREFIX = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~-]+)+")
_WITH_PORT = re.compile(r"\[([^\]]+)\](?::[0-9]+)?|([0-9.]+):[0-9]+")

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def read_address(text: str) -> IPAddress | None:
    """Parse an address, also one with a port or a zone; None when it is malformed.

    An IPv4 address that is mapped into IPv6 is the IPv4 address.
    """
    text = text.strip()
    found = _WITH_PORT.fullmatch(text)
    if found is not None:
        text = found[1] or found[2]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


# Parsing an address takes longer than all the rest.
@lru_cache(maxsize=1024)
def find_site(text: str) -> str | None:
    """Return what limits per address are counted by; None for loopback, which has no such limits, and no address.

    One site has 2^64 IPv6 addresses.
    """
    address = read_address(text)
    if address is None or address.is_loopback:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((address, _SITE_BITS), strict=False))
    return str(address)


def is_forwarded(request: Request) -> bool:
    """Return whether a request has come through a proxy, trusted or not, by its headers."""
    return any(name.startswith(_FORWARDED) for name in request.environ)


class Proxies:
    """The trusted proxies; what they report of a request replaces what the connection shows."""

    def __init__(self, networks: Iterable[Network] = ()) -> None:
        """Trust the addresses in these networks."""
        self._networks = tuple(networks)
        self.trusts = lru_cache(maxsize=1024)(self._trusts)

    def _trusts(self, peer: str) -> bool:
        """Return whether a connection's peer is a trusted proxy."""
        address = read_address(peer)
        return address is not None and self._contains(address)

    def _contains(self, address: IPAddress) -> bool:
        return any(address in network for network in self._networks)

    def find_site(self, peer: str) -> str | None:
        """Return what the connections of a peer are counted by; None for a proxy, which has all its clients'."""
        return None if self.trusts(peer) else find_site(peer)

    def resolve(self, environ: dict[str, Any]) -> None:
        """Write what a trusted proxy reports into the WSGI environment of a request."""
        if not self.trusts(environ.get("REMOTE_ADDR", "")):
            return
        client = self._find_client(environ.get("HTTP_X_FORWARDED_FOR", ""))
        if client is not None:
            environ["REMOTE_ADDR"] = str(client)
        scheme = _read_last(environ, "HTTP_X_FORWARDED_PROTO").lower()
        if scheme in {"http", "https"}:
            environ["wsgi.url_scheme"] = scheme
        host = _read_last(environ, "HTTP_X_FORWARDED_HOST")
        if host:
            # Checked like any other Host header.
            environ["HTTP_HOST"] = host
        prefix = _read_last(environ, "HTTP_X_FORWARDED_PREFIX").rstrip("/")
        if len(prefix) <= PREFIX_LENGTH and _PREFIX.fullmatch(prefix):
            environ["SCRIPT_NAME"] = prefix

    def _find_client(self, forwarded_for: str) -> IPAddress | None:
        """Find the last address that no trusted proxy has; those before it may have been invented by that client."""
        client = None
        for text in reversed(forwarded_for.split(",")):
            address = read_address(text)
            if address is None:
                break
            client = address
            if not self._contains(address):
                break
        return client


def _read_last(environ: dict[str, Any], name: str) -> str:
    # The nearest proxy, the one that is trusted, adds its value at the end.
    return str(environ.get(name, "")).rpartition(",")[2].strip()


def init_app(app: Flask) -> None:
    """Let trusted proxies report the address, scheme, host and prefix of each request."""
    settings: Settings = app.config["SETTINGS"]
    if not settings.trusted_proxies:
        return
    proxies, serve = Proxies(settings.trusted_proxies), app.wsgi_app

    def resolve_and_serve(environ: dict[str, Any], start_response: Any) -> Any:  # noqa: ANN401 - the types of WSGI
        proxies.resolve(environ)
        return serve(environ, start_response)

    app.wsgi_app = resolve_and_serve  # type: ignore[method-assign] # as Flask documents it
