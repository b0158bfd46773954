"""The real NATS server: one node, or three in a cluster; open, or with TLS and a key for each user."""

import contextlib
import signal
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from nacl.signing import SigningKey

from common.settings import Settings
from infra.nats.users import Rights, find_rights
from relay.nkey import Nkey
from tests.conftest import require_program
from tests.system.stack import free_ports
from tests.waiting import wait_for

User = Callable[[str], Rights]
"""What a user may do, by its public key."""


def may_all(_: str) -> Rights:
    """Everything."""
    return Rights([">"], [">"])


HUB: User = partial(find_rights, "hub")


def make_host(journal_id: str) -> User:
    """A host with this journal."""
    return partial(find_rights, "host", journal_id=journal_id)


class Key:
    """The key of a user: its seed is in a file, and its public half in the configuration of the servers."""

    def __init__(self, folder: Path, name: str) -> None:
        key = Nkey(SigningKey.generate())
        self.public = key.public
        self.file = folder / f"{name}.nkey"
        self.file.touch(0o600)
        self.file.write_text(key.write_seed())


class Authority:
    """Certificates: one that signs, and one for the servers on loopback."""

    def __init__(self, folder: Path) -> None:
        openssl = require_program("openssl")
        self.file = folder / "ca.pem"
        self.key, self.certificate = folder / "server.key", folder / "server.pem"
        make = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        for command in (
            [openssl, "req", "-x509", *make, "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"],
            [
                *(openssl, "req", "-x509", *make, "-subj", "/CN=127.0.0.1", "-CA", "ca.pem", "-CAkey", "ca.key"),
                *("-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"),
                *("-keyout", "server.key", "-out", "server.pem"),
            ],
        ):
            subprocess.run(command, cwd=folder, check=True, capture_output=True)


class Node:
    """One server, which keeps its ports and its store when it is started again."""

    def __init__(self, folder: Path, name: str = "n1") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.name = name
        self.port, self.route, self.monitor = free_ports(3)
        self.log = folder / "nats.log"
        self.process: subprocess.Popen[bytes] | None = None

    def write(self, users: str, tls: str, cluster: str) -> None:
        """Write its configuration; a running server reads it after SIGHUP."""
        (self.folder / "nats.conf").write_text(f"""
server_name: {self.name}
listen: 127.0.0.1:{self.port}
http: 127.0.0.1:{self.monitor}
jetstream {{ store_dir: "{self.folder}/store", max_file: 8GB, sync_interval: always }}
{cluster}
{tls}
{users}
""")

    def start(self) -> Self:
        with self.log.open("ab") as log:
            command = [require_program("nats-server"), "-c", str(self.folder / "nats.conf")]
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        wait_for(self._listens, f"{self.name} listens")
        return self

    def _listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
            return True
        return False

    def end(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(how)
            self.process.wait(60)
            self.process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the running server: SIGSTOP freezes it, SIGHUP lets it read its configuration."""
        assert self.process is not None
        self.process.send_signal(number)


class Nats:
    """Servers with one stream. Without ``users``, each with its rights, everyone may do everything, without TLS."""

    def __init__(
        self,
        folder: Path,
        count: int = 1,
        users: Mapping[str, User] | None = None,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.nodes = [Node(folder / f"n{number + 1}", f"n{number + 1}") for number in range(count)]
        self.keys = {name: Key(folder, name) for name in users or {}}
        self.authority = Authority(folder) if users else None
        self.configure(users or {})

    def configure(self, users: Mapping[str, User], text: str = "") -> None:
        """Write the configuration of every node; ``text`` replaces what it says about users."""
        rights = {self.keys[name].public: user(self.keys[name].public) for name, user in users.items()}
        lists = "\n".join(
            f"{{ nkey: {key}, permissions: {{"
            f" publish: {{ allow: {_write(own.publish)} }}, subscribe: {{ allow: {_write(own.subscribe)} }} }} }}"
            for key, own in rights.items()
        )
        tls = ""
        if self.authority is not None:
            tls = f'tls {{ cert_file: "{self.authority.certificate}", key_file: "{self.authority.key}" }}'
        for node in self.nodes:
            routes = ", ".join(f'"nats://127.0.0.1:{other.route}"' for other in self.nodes)
            cluster = f"cluster {{ name: c, listen: 127.0.0.1:{node.route}, routes: [{routes}] }}"
            who = text or (f"authorization {{ users: [\n{lists}\n] }}" if users else "")
            node.write(who, tls, cluster if len(self.nodes) > 1 else "")

    def __enter__(self) -> Self:
        for node in self.nodes:
            node.start()
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.end()

    @property
    def url(self) -> str:
        scheme = "tls" if self.authority is not None else "nats"
        return ",".join(f"{scheme}://127.0.0.1:{node.port}" for node in self.nodes)

    def list_settings(self, user: str = "") -> dict[str, str]:
        """List the settings of a relay, as a user that the servers know."""
        own = {
            "RELAY_TRANSPORT": "nats",
            "RELAY_NATS_URL": self.url,
            "RELAY_REPLICAS": str(len(self.nodes)),
            "RELAY_MAX_BYTES": "1GiB",
            "RELAY_HTTP_PORT": "0",
        }
        if self.authority is not None:
            own |= {"RELAY_CA_FILE": str(self.authority.file), "RELAY_NKEY_FILE": str(self.keys[user].file)}
        return own

    def make_settings(self, journal: Path, user: str = "", **more: Any) -> Settings:  # noqa: ANN401 - as the settings'
        return Settings.from_env(self.list_settings(user) | {"JOURNAL_PATH": str(journal)} | more)


def _write(subjects: Sequence[str]) -> str:
    return "[" + ", ".join(f'"{subject}"' for subject in subjects) + "]"
