"""Every setting of the product, read in one place (docs/settings.md)."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from common.errors import BadSettingError
from common.paths import find_clash
from common.quotes import CURRENCIES
from common.symbols import read_symbols

_PORT_MAX = 65_535
_SECRET_MIN = 16
_SECRET_SAMPLE = "replace-me"  # noqa: S105 - it is the placeholder, which is rejected
FILE = "the path of a file, not of a folder or a device"
_IPC = "ipc://"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:\-]+", text):
        raise ValueError
    return text


def _whole(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return read


def _zmq_addr(text: str) -> str:
    if re.fullmatch(r"ipc://\S+", text):
        return text
    port = re.fullmatch(r"tcp://(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})", text)
    if port is None or not 1 <= int(port[1]) <= _PORT_MAX:
        raise ValueError
    return text


def read_path(text: str) -> Path:
    """Read the path of a file, there or not. Raises ValueError."""
    path = Path(text)
    if "\0" in text or text.endswith("/") or path.name in {"", ".."}:
        raise ValueError
    try:
        path.resolve()
        other = path.exists() and not path.is_file()
    except PermissionError:
        # Opening the file reports it.
        return path
    except (OSError, RuntimeError):
        # The path is too long, or a link points to itself.
        raise ValueError from None
    if other:
        raise ValueError
    return path


def _one_of(*choices: str, normalise: Callable[[str], str]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if normalise(text) not in choices:
            raise ValueError
        return normalise(text)

    return read


def _secret(text: str) -> str:
    if text and (len(text) < _SECRET_MIN or text == _SECRET_SAMPLE):
        raise ValueError
    return text


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(text.replace(",", " ").split())
    if not all(re.fullmatch(r"\*|https?://[A-Za-z0-9.\-\[\]:]+", origin) for origin in origins):
        raise ValueError
    return origins


def _url(text: str) -> str:
    if text and not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+(/[!-~]*)?", text):
        raise ValueError
    return text


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",")) if text else ()
    if not all(re.fullmatch(r"[A-Za-z0-9.\-]{1,253}", name) for name in names):
        raise ValueError
    return names


def _currencies(text: str) -> tuple[str, ...]:
    currencies = tuple(name.strip().upper() for name in text.split(",")) if text else ()
    if not all(re.fullmatch(r"[A-Z0-9]{2,10}", currency) for currency in currencies):
        raise ValueError
    return currencies


def write_address(host: str, port: int) -> str:
    """Write an address as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _duration(text: str) -> int:
    found = re.fullmatch(r"([0-9]{1,6})([smhd])|0", text)
    if found is None:
        raise ValueError
    return int(found[1]) * _SECONDS[found[2]] if found[1] else 0


def _seconds(low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        seconds = int(text) if re.fullmatch(r"[0-9]{1,9}", text) else _duration(text)
        if not low <= seconds <= high:
            raise ValueError
        return seconds

    return read


_READERS: dict[str, tuple[Callable[[str], Any], str]] = {
    "webapp_http_host": (_host, "a host name or an address, like 127.0.0.1"),
    "webapp_http_port": (_whole(0, _PORT_MAX), "a port, 0 to 65535 (0: any free one)"),
    "webapp_zmq_addr": (_zmq_addr, "a ZeroMQ address, like tcp://127.0.0.1:5555 or ipc:///run/trades.sock"),
    "sidecar_http_host": (_host, "a host name or an address, like 127.0.0.1"),
    "sidecar_http_port": (_whole(0, _PORT_MAX), "a port, 0 to 65535 (0: any free one)"),
    "journal_path": (read_path, FILE),
    "journal_sync": (_one_of("full", "normal", normalise=str.lower), "full or normal"),
    "journal_retention": (_duration, "a time like 90s, 15m, 24h or 30d, or 0 to keep every trade"),
    "snapshot_path": (read_path, FILE),
    "secret_key": (_secret, "a random text of 16 characters or more; `make env-setup` writes one"),
    "log_level": (_one_of(*_LEVELS, normalise=str.upper), f"one of {', '.join(_LEVELS)}"),
    "webapp_cors_origins": (_origins, "origins like https://desk.example, separated by commas, or *"),
    "allowed_hosts": (_names, "names like desk.example, without a port or a wildcard, separated by commas"),
    "web_concurrency": (_whole(1, 256), "a number of workers, 1 to 256"),
    "symbol_limit": (_whole(1, 100_000), "a number of symbols, 1 to 100000"),
    "source_limit": (_whole(1, 10_000), "a number of sources, 1 to 10000"),
    "feed_max_clients": (_whole(0, 100_000), "a number of subscribers for each worker, 0 to 100000"),
    "body_timeout": (_seconds(1, 3600), "a number of seconds, 1 to 3600"),
    "quote_currencies": (_currencies, "currencies like USDT,EUR of 2 to 10 letters and digits, separated by commas"),
    "batch_max_trades": (_whole(1, 100_000), "a number of trades, 1 to 100000"),
    "batch_max_bytes": (_whole(1024, 64 * 1024 * 1024), "a number of bytes, 1024 to 67108864"),
    "trading_symbols": (read_symbols, "symbols of 1 to 64 printable characters, separated by commas"),
    "prometheus_url": (_url, "a URL like http://127.0.0.1:9090, or nothing"),
    "grafana_url": (_url, "a URL like http://127.0.0.1:3000, or nothing"),
}


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The product's settings; each is named like its environment variable, in lower case."""

    webapp_http_host: str = "127.0.0.1"
    webapp_http_port: int = 8000
    webapp_zmq_addr: str = "tcp://127.0.0.1:5555"
    sidecar_http_host: str = "127.0.0.1"
    sidecar_http_port: int = 8001
    journal_path: Path = Path("var/journal.db")
    journal_sync: str = "full"
    journal_retention: int = 0
    snapshot_path: Path = Path("var/sidecar.snapshot")
    secret_key: str = field(default="", repr=False)
    log_level: str = "INFO"
    webapp_cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ("host.docker.internal",)
    web_concurrency: int = 2
    symbol_limit: int = 200
    source_limit: int = 50
    trading_symbols: tuple[str, ...] = ()
    quote_currencies: tuple[str, ...] = CURRENCIES
    feed_max_clients: int = 400
    body_timeout: int = 10
    batch_max_trades: int = 10_000
    batch_max_bytes: int = 8 * 1024 * 1024
    prometheus_url: str = "http://127.0.0.1:9090"
    grafana_url: str = "http://127.0.0.1:3000"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read the settings from environment variables.

        Raises BadSettingError for the first invalid value; the value of a secret is not shown.
        """
        values = {}
        for name in (each.name for each in fields(cls)):
            text = environ.get(name.upper())
            if text is None:
                continue
            read, expected = _READERS[name]
            try:
                values[name] = read(text.strip())
            except ValueError:
                shown = "(not shown)" if name == "secret_key" else text
                raise BadSettingError(name.upper(), shown, expected) from None
        settings = cls(**values)
        settings._check_paths()
        return settings

    def _check_paths(self) -> None:
        address = self.webapp_zmq_addr
        sockets = [Path(address.removeprefix(_IPC))] if address.startswith(_IPC) else []
        journal, snapshot = self.journal_path, self.snapshot_path
        if find_clash(journal, snapshot) is not None:
            expected = f"a path whose files are not those of the journal, whose JOURNAL_PATH is {str(journal)!r}"
            raise BadSettingError("SNAPSHOT_PATH", str(snapshot), expected)
        if find_clash(journal, snapshot, sockets) is not None:
            raise BadSettingError(
                "WEBAPP_ZMQ_ADDR", address, "a socket that is not a file of the journal or of the snapshot"
            )

    def write_webapp_address(self) -> str:
        """Write where the web process listens, as ``host:port``."""
        return write_address(self.webapp_http_host, self.webapp_http_port)

    def require_secret_key(self) -> str:
        """Return the secret that signs sessions and form tokens, which only the web process needs.

        Raises BadSettingError when there is none.
        """
        if not self.secret_key:
            raise BadSettingError("SECRET_KEY", None, _READERS["secret_key"][1])
        return self.secret_key
