"""How the text of each setting is read, and what is expected of it."""

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from common.event import SOURCE_PATTERN
from common.secret_files import SECRET_MIN
from common.symbols import read_symbols
from common.value_readers import (
    FILE,
    matching,
    milliseconds,
    one_of,
    optional_path,
    read_duration,
    read_path,
    seconds,
    size,
    whole,
)

_PORT_MAX = 65_535
_SECRET_SAMPLE = "replace-me"  # noqa: S105 - it is the placeholder, which is rejected
_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR")


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.:\-]+", text):
        raise ValueError
    return text


def _zmq_addr(text: str) -> str:
    if re.fullmatch(r"ipc://\S+", text):
        return text
    port = re.fullmatch(r"tcp://(?:[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:]+\]):([0-9]{1,5})", text)
    if port is None or not 1 <= int(port[1]) <= _PORT_MAX:
        raise ValueError
    return text


def _replica(text: str) -> str:
    if text and not re.fullmatch(r"file:///[^\0?#]+|(?!file:)[a-z0-9]+://[!-~]+", text):
        raise ValueError
    return text


def _folder(text: str) -> Path | None:
    if "\0" in text or (text and Path(text).is_file()):
        raise ValueError
    return Path(text) if text else None


def _secret(text: str) -> str:
    if text and (len(text) < SECRET_MIN or text == _SECRET_SAMPLE):
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


def _networks(text: str) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
    # ip_network raises ValueError for a network with bits of a host in it.
    return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",")) if text else ()


def _currencies(text: str) -> tuple[str, ...]:
    currencies = tuple(name.strip().upper() for name in text.split(",")) if text else ()
    if not all(re.fullmatch(r"[A-Z0-9]{2,10}", currency) for currency in currencies):
        raise ValueError
    return currencies


def _host_names(text: str) -> dict[str, str]:
    pairs = [part.strip().partition("=") for part in text.split(",")] if text else []
    hosts = {name: journal_id for name, _, journal_id in pairs}
    if not len(pairs) == len(hosts) == len(set(hosts.values())):
        raise ValueError
    if not all(re.match(SOURCE_PATTERN, name) and re.fullmatch("[0-9a-f]{32}", hosts[name]) for name in hosts):
        raise ValueError
    return hosts


def _urls(text: str) -> tuple[str, ...]:
    urls = tuple(part.strip().rstrip("/") for part in text.split(",")) if text else ()
    if not all(map(_url, urls)) or len(set(urls)) < len(urls):
        raise ValueError
    return urls


def _nats_urls(text: str) -> tuple[str, ...]:
    urls = tuple(part.strip().rstrip("/") for part in text.split(",")) if text else ()
    # A user or a password in it would be shown on pages and in logs.
    if not all(re.fullmatch(r"(nats|tls)://([A-Za-z0-9.\-]+|\[[0-9A-Fa-f:]+\])(:[0-9]{1,5})?", url) for url in urls):
        raise ValueError
    if len(set(urls)) < len(urls):
        raise ValueError
    return urls


def _silences(text: str) -> dict[str, int]:
    pairs = [part.strip().rpartition("=") for part in text.split(",")] if text else []
    limits = {name: read_duration(duration) for name, _, duration in pairs}
    if len(limits) < len(pairs) or not all(name == "*" or re.match(SOURCE_PATTERN, name) for name in limits):
        raise ValueError
    return limits


READERS: Final[dict[str, tuple[Callable[[str], Any], str]]] = {
    "webapp_http_host": (_host, "a host name or an address, like 127.0.0.1"),
    "webapp_http_port": (whole(0, _PORT_MAX), "a port, 0 to 65535 (0: any free one)"),
    "webapp_zmq_addr": (_zmq_addr, "a ZeroMQ address, like tcp://127.0.0.1:5555 or ipc:///run/trades.sock"),
    "sidecar_http_host": (_host, "a host name or an address, like 127.0.0.1"),
    "sidecar_http_port": (whole(0, _PORT_MAX), "a port, 0 to 65535 (0: any free one)"),
    "journal_path": (read_path, FILE),
    "journal_sync": (one_of("full", "normal", normalise=str.lower), "full or normal"),
    "journal_retention": (read_duration, "a time like 90s, 15m, 24h or 30d, or 0 to keep every trade"),
    "snapshot_path": (read_path, FILE),
    "auth": (one_of("auto", "required", "off", normalise=str.lower), "auto, required or off"),
    "secret_key": (_secret, "a random text of 16 characters or more; `make env-setup` writes one"),
    "secret_key_file": (optional_path, FILE),
    "sidecar_token_file": (optional_path, FILE),
    "token_file": (optional_path, FILE),
    "log_level": (one_of(*_LEVELS, normalise=str.upper), f"one of {', '.join(_LEVELS)}"),
    "request_lines_per_second": (whole(0, 1_000_000), "a number of lines, 0 (no limit) to 1000000"),
    "webapp_cors_origins": (_origins, "origins like https://desk.example, separated by commas, or *"),
    "allowed_hosts": (_names, "names like desk.example, without a port or a wildcard, separated by commas"),
    "trusted_proxies": (_networks, "addresses or networks like 127.0.0.1 or 10.0.0.0/8, separated by commas"),
    "web_concurrency": (whole(1, 256), "a number of workers, 1 to 256"),
    "symbol_limit": (whole(1, 100_000), "a number of symbols, 1 to 100000"),
    "source_limit": (whole(1, 10_000), "a number of sources, 1 to 10000"),
    "positions": (one_of("on", "off", normalise=str.lower), "on or off"),
    "silence_after": (_silences, "sources with their limits, like bot-1=10m,*=1h; * is every other source, 0 no limit"),
    "writes_per_second": (whole(0, 1_000_000), "a number of requests, 0 (no limit) to 1000000"),
    "sign_ins_per_minute": (whole(0, 1_000_000), "a number of attempts, 0 (no limit) to 1000000"),
    "feed_max_clients": (whole(0, 100_000), "a number of subscribers for each worker, 0 to 100000"),
    "body_timeout": (seconds(1, 3600), "a number of seconds, 1 to 3600"),
    "quote_currencies": (_currencies, "currencies like USDT,EUR of 2 to 10 letters and digits, separated by commas"),
    "batch_max_trades": (whole(1, 100_000), "a number of trades, 1 to 100000"),
    "batch_max_bytes": (whole(1024, 64 * 1024 * 1024), "a number of bytes, 1024 to 67108864"),
    "trading_symbols": (read_symbols, "symbols of 1 to 64 printable characters, separated by commas"),
    "relay_transport": (one_of("http", "nats", normalise=str.lower), "http or nats"),
    "relay_nats_url": (
        _nats_urls,
        "URLs like tls://nats-1.example:4222, without a user, separated by commas, each once",
    ),
    "relay_stream": (matching(r"[A-Za-z0-9_-]{1,64}"), "a name of 1 to 64 letters, digits, - and _"),
    "relay_replicas": (whole(1, 5), "a number of copies, 1 to 5"),
    "relay_max_age": (seconds(60, 3650 * 86_400), "a time of 1m to 3650d, like 7d, or seconds"),
    "relay_max_bytes": (size(1024**2, 1024**5), "a size of 1MiB to 1024TiB, like 8GiB, or bytes"),
    "relay_nkey_file": (optional_path, FILE),
    "relay_user": (
        # A word of a subject: with a dot, one user could read the inbox of another.
        matching(r"[A-Za-z0-9_@+-]{0,128}"),
        "a name of at most 128 letters, digits, _, @, + and -",
    ),
    "relay_password_file": (optional_path, FILE),
    "relay_heartbeat": (seconds(1, 60), "a time of 1s to 1m, like 5s, or seconds"),
    "relay_http_hosts": (_urls, "URLs like https://berlin.example, separated by commas, each once"),
    "relay_token_file": (optional_path, FILE),
    "relay_ca_file": (optional_path, FILE),
    "relay_batch": (whole(2, 1000), "a number of trades, 2 to 1000"),
    "relay_poll": (
        milliseconds(10, 60_000),
        "a time of 10ms to 60s, like 100ms, or milliseconds; 0: by the transport",
    ),
    "relay_http_host": (_host, "a host name or an address, like 127.0.0.1"),
    "relay_http_port": (whole(0, _PORT_MAX), "a port, 0 to 65535 (0: any free one)"),
    "relay_host_names": (
        _host_names,
        "names of hosts with their journal_ids, like berlin=3ca5cddaa92c4bbcbaee84b5de2a6bb1, each once",
    ),
    "prometheus_url": (_url, "a URL like http://127.0.0.1:9090, or nothing"),
    "grafana_url": (_url, "a URL like http://127.0.0.1:3000, or nothing"),
    "backup_folder": (_folder, "the path of a folder, or nothing"),
    "backup_keep": (whole(1, 10_000), "a number of backups, 1 to 10000"),
    "replica_url": (_replica, "a URL like file:///mnt/other/trades or s3://bucket/trades, or nothing"),
    "runbook_url": (_url, "a URL like https://wiki.example/runbooks, or nothing"),
}
