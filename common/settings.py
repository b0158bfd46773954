"""Every setting of the product, read in one place (docs/settings.md)."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Self

from common.errors import BadSettingError
from common.hosts import is_loopback
from common.paths import find_clash
from common.quotes import CURRENCIES
from common.secret_files import read_secret
from common.setting_readers import READERS

_IPC = "ipc://"


def write_address(host: str, port: int) -> str:
    """Write an address as in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


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
    auth: str = "auto"
    secret_key: str = field(default="", repr=False)
    secret_key_file: Path | None = None
    sidecar_token_file: Path | None = None
    token_file: Path | None = None
    log_level: str = "INFO"
    request_lines_per_second: int = 0
    webapp_cors_origins: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ("host.docker.internal",)
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = ()
    web_concurrency: int = 2
    symbol_limit: int = 200
    source_limit: int = 50
    positions: str = "on"
    silence_after: Mapping[str, int] = field(default_factory=dict)
    trading_symbols: tuple[str, ...] = ()
    quote_currencies: tuple[str, ...] = CURRENCIES
    writes_per_second: int = 100
    sign_ins_per_minute: int = 10
    feed_max_clients: int = 400
    body_timeout: int = 10
    batch_max_trades: int = 10_000
    batch_max_bytes: int = 8 * 1024 * 1024
    relay_transport: str = "http"
    relay_nats_url: tuple[str, ...] = ()
    relay_stream: str = "TRADES"
    relay_replicas: int = 3
    relay_max_age: int = 7 * 86_400
    relay_max_bytes: int = 8 * 1024**3
    relay_nkey_file: Path | None = None
    relay_user: str = ""
    relay_password_file: Path | None = None
    relay_heartbeat: int = 5
    relay_http_hosts: tuple[str, ...] = ()
    relay_token_file: Path | None = None
    relay_ca_file: Path | None = None
    relay_batch: int = 500
    relay_poll: int = 0
    relay_http_host: str = "127.0.0.1"
    relay_http_port: int = 8002
    relay_host_names: Mapping[str, str] = field(default_factory=dict)
    prometheus_url: str = "http://127.0.0.1:9090"
    grafana_url: str = "http://127.0.0.1:3000"
    runbook_url: str = ""
    backup_folder: Path | None = None
    backup_keep: int = 7
    replica_url: str = ""

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
            read, expected = READERS[name]
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

        Raises BadSettingError when there is none, or one in SECRET_KEY and another in SECRET_KEY_FILE.
        """
        if self.secret_key_file is not None:
            if self.secret_key:
                raise BadSettingError("SECRET_KEY_FILE", str(self.secret_key_file), "nothing, since SECRET_KEY is set")
            return read_secret("SECRET_KEY_FILE", self.secret_key_file)
        if not self.secret_key:
            raise BadSettingError("SECRET_KEY", None, READERS["secret_key"][1])
        return self.secret_key

    def read_sidecar_token(self) -> str | None:
        """Return the token of the sidecar's clients, None without a file. Raises BadSettingError."""
        return None if self.sidecar_token_file is None else read_secret("SIDECAR_TOKEN_FILE", self.sidecar_token_file)

    def require_sidecar_token(self) -> str | None:
        """Return the token that the sidecar expects; None when it is open, on loopback or with AUTH="off".

        Raises BadSettingError, also when the sidecar would be open beyond loopback.
        """
        return self._require_token("SIDECAR_HTTP_HOST", self.sidecar_http_host)

    def require_relay_token(self) -> str | None:
        """Return the token that clients of the relay's HTTP send, which is that of the sidecar's. Raises the same."""
        return self._require_token("RELAY_HTTP_HOST", self.relay_http_host)

    def _require_token(self, name: str, host: str) -> str | None:
        token = self.read_sidecar_token()
        if token is None and self.auth != "off" and not is_loopback(host):
            expected = (
                f"a file with the token of its clients, since {name} is {host!r}, which is"
                ' beyond loopback; `make infra-up` makes it; or AUTH="off"'
            )
            raise BadSettingError("SIDECAR_TOKEN_FILE", None, expected)
        return token
