"""Links: the addresses of the parts that have pages, so that each page leads to the others."""

from typing import Final
from urllib.parse import urlsplit

from common.hosts import is_loopback, read_authority
from common.settings import Settings, write_address

_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - recognised, not bound


def find_links(settings: Settings, own: str, host: str) -> dict[str, str]:
    """Return the URLs of the parts other than ``own``, by name, for a browser that sent this Host header.

    A part that listens on every interface has the name by which the browser came. Left out are a part without a known
    address, and one on loopback when the browser is elsewhere.
    """
    authority = read_authority(host)
    name = authority[0] if authority else ""
    urls = {
        "Desk": _write_url(settings.webapp_http_host, settings.webapp_http_port, name),
        # A browser cannot send the token.
        "Sidecar": ""
        if settings.sidecar_token_file
        else _write_url(settings.sidecar_http_host, settings.sidecar_http_port, name),
        "Prometheus": settings.prometheus_url,
        "Grafana": settings.grafana_url,
    }
    near = is_loopback(name)
    return {
        part: url
        for part, url in urls.items()
        if part != own and url and (near or not is_loopback(urlsplit(url).hostname or ""))
    }


def find_reachable(host: str) -> str:
    """Return where a process on this machine reaches a server that listens on ``host``."""
    return _EVERYWHERE.get(host, host)


def _write_url(host: str, port: int, name: str) -> str:
    # The system chooses port 0 at the start, and only that process knows it.
    return f"http://{write_address(name if host in _EVERYWHERE and name else host, port)}" if port else ""
