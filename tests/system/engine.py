"""Stands in for Docker and Compose, as far as ``infra/stage.py`` uses them.

Each service has its own network, mounts and processes, as in a container, but on the root of this host in place of an
image: its own programs run with the very files, paths, users, ports and addresses of ``infra/compose.yml``. It runs as
``python -m tests.system.engine FOLDER PID …``, where PID is of a process whose network is that of the containers' host.
What was asked for is in ``FOLDER/docker.log``.
"""

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final

import yaml

from tests.conftest import ROOT
from tests.waiting import wait_for

# Programs that images have under other names, and Debian's users.
ENTRYPOINTS: Final = {
    # The second word is for Debian's Prometheus 2: 3 does it anyway.
    "prom/prometheus": ["prometheus", "--enable-feature=expand-external-labels"],
    "prom/alertmanager": ["prometheus-alertmanager"],
    "grafana/grafana": ["/app/.venv/bin/python", "-m", "tests.system.grafana"],
    "nats": ["/app/.venv/bin/nats-server"],
    "nginx": [],
}
USERS: Final = {"prom/prometheus": "65534", "prom/alertmanager": "65534", "grafana/grafana": "65534"}
OURS: Final = "trading-telemetry"

# Runs as process 1 of a service: lays this host's root below the service's files, then becomes the service.
_SETUP: Final = """
set -e
mount -t tmpfs tmpfs "$SCRATCH"
mkdir "$SCRATCH/upper" "$SCRATCH/work" "$SCRATCH/root"
root="$SCRATCH/root"
mount -t overlay overlay -o lowerdir=/,upperdir="$SCRATCH/upper",workdir="$SCRATCH/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
{mounts}
cd "$root"
exec /usr/sbin/chroot "$root" {become} {command}
"""


def read_image() -> tuple[dict[str, str], str, list[str]]:
    """Read the environment, the user and the command of our image."""
    text = (ROOT / "infra" / "image" / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    block = re.search(r"^ENV (.*?[^\\])\n", text, re.MULTILINE | re.DOTALL)
    user = re.search(r"^USER (\d+):", text, re.MULTILINE)
    command = re.search(r"^CMD (.*)$", text, re.MULTILINE)
    assert block
    assert user
    assert command
    return dict(re.findall(r'(\w+)="([^"]*)"', block[1])), user[1], json.loads(command[1])


def interpolate(text: str) -> str:
    """Fill in the variables as Compose does."""
    return re.sub(r"\$\{(\w+)(?::-([^}]*))?\}", lambda found: os.environ.get(found[1]) or found[2] or "", text)


def read_network(pid: int) -> str:
    """Return the name of the network that a process is in."""
    return str(Path(f"/proc/{pid}/ns/net").readlink())


class Project:
    """The services of a compose file."""

    def __init__(self, folder: Path, host: str, file: Path) -> None:
        self.folder, self.host, self.base = folder, host, file.parent
        spec = yaml.safe_load(interpolate(file.read_text()))
        self.services: dict[str, dict[str, Any]] = spec["services"]
        self.secrets: dict[str, dict[str, str]] = spec["secrets"]
        (config,) = spec["networks"]["default"]["ipam"]["config"]
        self.subnet = IPv4Network(config["subnet"])
        self.free = map(str, IPv4Network(config["ip_range"]).hosts())
        self.addresses = {name: self._find_address(service) for name, service in self.services.items()}

    def _find_address(self, service: dict[str, Any]) -> str:
        named = service.get("networks", {}).get("default", {})
        return str(named.get("ipv4_address") or next(self.free))

    def list_mounts(self, name: str) -> list[tuple[str, str]]:
        """List what a service sees of this host, as source and place; folders before what lies in them."""
        service = self.services[name]
        mounts = [(str(ROOT), "/app"), (str((ROOT / ".venv").resolve()), str((ROOT / ".venv").resolve()))]
        for volume in service.get("volumes", []):
            source, place = volume.split(":")[:2]
            if "/" in source:
                path = (self.base / source).resolve()
                assert path.exists(), f"{name} mounts {path}, which is missing"
            else:
                path = self.folder / "volumes" / source
                if not path.exists():
                    path.mkdir(parents=True)
                    os.chown(path, int(self.find_user(name)), -1)
                    path.chmod(0o700)
            mounts.append((str(path), place))
        for secret in service.get("secrets", []):
            source = secret if isinstance(secret, str) else secret["source"]
            # A target without a slash is a name there.
            place = str(Path("/run/secrets") / (source if isinstance(secret, str) else secret["target"]))
            path = (self.base / self.secrets[source]["file"]).resolve()
            assert path.is_file(), f"{name} has the secret {path}, which is missing"
            mounts.append((str(path), place))
        return mounts

    def find_image(self, name: str) -> str:
        return str(self.services[name]["image"]).partition(":")[0]

    def find_user(self, name: str) -> str:
        image = self.find_image(name)
        return read_image()[1] if image == OURS else USERS.get(image, "0")

    def write_setup(self, name: str, command: list[str]) -> str:
        """Write the script that becomes the service."""
        lines = [
            f"mkdir -p $root{each}; mount -t tmpfs tmpfs $root{each}" for each in self.services[name].get("tmpfs", [])
        ]
        own = {
            "hosts": "".join(f"{ip} {each}\n" for each, ip in self.addresses.items()) + "127.0.0.1 localhost\n",
            # The user that nginx's image has.
            "passwd": Path("/etc/passwd").read_text() + "nginx:x:101:101::/nonexistent:/bin/false\n",
            "group": Path("/etc/group").read_text() + "nginx:x:101:\n",
        }
        for each, text in own.items():
            file = self.folder / each
            # A service that has started reads it too, and would find it empty while it is written.
            if not file.exists() or file.read_text() != text:
                file.write_text(text)
        mounts = [*self.list_mounts(name), *((str(self.folder / each), f"/etc/{each}") for each in own)]
        for source, place in mounts:
            parent, make = (f"$root{Path(place).parent}", "mkdir" if Path(source).is_dir() else "touch")
            lines.append(f"mkdir -p {parent}; [ -e $root{place} ] || {make} $root{place}")
            lines.append(f"mount --bind {shlex.quote(source)} $root{place}")
        user = self.find_user(name)
        # The checkout may be in a folder that this user cannot enter, unlike a real image's.
        search = ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search"]
        # Another user would otherwise outlive the program that started it.
        ends = ["--pdeathsig", "keep"]
        become = ["setpriv", *ends, "--reuid", user, "--regid", user, "--clear-groups", *search] if user != "0" else []
        return _SETUP.format(
            mounts="\n".join(lines),
            become=shlex.join(become),
            command=shlex.join(["env", "--chdir=/app" if user == read_image()[1] else "--chdir=/", *command]),
        )

    def find_command(self, name: str) -> list[str]:
        service, image = self.services[name], self.find_image(name)
        if image == OURS:
            return list(service.get("command", read_image()[2]))
        return [*ENTRYPOINTS[image], *service.get("command", [])]

    def find_environ(self, name: str) -> dict[str, str]:
        image = read_image()[0] if self.find_image(name) == OURS else {"PATH": "/usr/sbin:/usr/bin:/bin"}
        own = {key: str(value) for key, value in self.services[name].get("environment", {}).items()}
        more = {"PYTHONPATH": "/app"} if name == "grafana" else {"FLASK_SKIP_DOTENV": "1"}
        return image | own | more

    def launch(self, name: str, command: list[str], **named: Any) -> "subprocess.Popen[str]":  # noqa: ANN401 - of Popen
        """Start a command as this service, in a network of its own."""
        scratch = self.folder / "scratch" / f"{name}-{time.monotonic_ns()}"
        scratch.mkdir(parents=True)
        # Without the pipes of who asks, who would wait for their end.
        quiet: dict[str, Any] = {
            "stdin": subprocess.DEVNULL,
            "stdout": subprocess.DEVNULL,
            "stderr": subprocess.DEVNULL,
        }
        network = subprocess.Popen(["unshare", "--net", "sleep", "1000"], start_new_session=True, **quiet)
        with (self.folder / "pids").open("a") as file:
            file.write(f"{network.pid}\n")
        wait_for(lambda: read_network(network.pid) != read_network(os.getpid()), "it has a network of its own")
        inside, outside = ["nsenter", "-t", str(network.pid), "-n"], ["nsenter", "-t", self.host, "-n"]
        link = f"v{network.pid}"
        address = f"{self.addresses[name]}/{self.subnet.prefixlen}"
        for line in (
            [*outside, "ip", "link", "add", link, "type", "veth", "peer", "name", "eth0", "netns", str(network.pid)],
            [*outside, "ip", "link", "set", link, "master", "br0", "up"],
            [*inside, "ip", "addr", "add", address, "dev", "eth0"],
            [*inside, "ip", "link", "set", "eth0", "up"],
            [*inside, "ip", "link", "set", "lo", "up"],
        ):
            subprocess.run(line, check=True)
        unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        setup = self.write_setup(name, command)
        environ = self.find_environ(name) | {"SCRATCH": str(scratch)}
        return subprocess.Popen(
            [*inside, *unshare, "sh", "-c", setup], env=environ, text=True, start_new_session=True, **named
        )

    def run(self, name: str, command: list[str]) -> int:
        process = self.launch(name, command)
        return process.wait()

    def up(self, profiles: set[str], names: list[str]) -> None:
        """Start these, or all of the profiles, in the order of the file, if they do not run yet."""
        for name, service in self.services.items():
            wanted = name in names if names else not service.get("profiles") or profiles & {*service["profiles"]}
            if wanted and not (self.folder / f"{name}.log").exists():
                self.start(name)

    def start(self, name: str) -> None:
        """Start one service in the background, and publish its ports."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = self.launch(name, self.find_command(name), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        published = [each.rsplit(":", 2) for each in self.services[name].get("ports", [])]
        forwards = [[host, port, self.addresses[name], inside] for host, port, inside in published]
        call = ["nsenter", "-t", self.host, "-n", sys.executable, "-m", "tests.system.forward"]
        with (self.folder / "published.log").open("ab") as log:
            quiet: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            publishers = [subprocess.Popen([*call, *each], start_new_session=True, **quiet) for each in forwards]
        with (self.folder / "pids").open("a") as file:
            file.writelines(f"{each.pid}\n" for each in [process, *publishers])


def run_container(folder: Path, host: str, words: list[str]) -> int:
    """Do what ``docker run`` does with these words: the container is one more service of a file of its own."""
    parser = argparse.ArgumentParser()
    for flag in ("--rm", "--detach", "--read-only"):
        parser.add_argument(flag, action="store_true")
    for option in ("--tmpfs", "--env", "--volume", "--publish", "--cap-drop", "--network"):
        parser.add_argument(option, action="append", default=[])
    parser.add_argument("--name", default="once")
    parser.add_argument("image")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    asked = parser.parse_args(words)
    service = {"image": asked.image, "tmpfs": asked.tmpfs, "volumes": asked.volume, "ports": asked.publish}
    service["environment"] = dict(each.split("=", 1) for each in asked.env)
    if asked.command:
        service["command"] = asked.command
    file = folder / "containers.yml"
    spec = yaml.safe_load((file if file.exists() else ROOT / "infra" / "compose.yml").read_text())
    spec["services"] = {**(spec["services"] if file.exists() else {}), asked.name: service}
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    project = Project(folder, host, file)
    if not asked.detach:
        return project.run(asked.name, project.find_command(asked.name))
    project.start(asked.name)
    return 0


def stop(folder: Path) -> None:
    """End all services."""
    pids = folder / "pids"
    for pid in pids.read_text().split() if pids.exists() else []:
        subprocess.run(["kill", "-KILL", "--", f"-{pid}"], check=False, capture_output=True)
    pids.unlink(missing_ok=True)
    shutil.rmtree(folder / "scratch", ignore_errors=True)


def main(arguments: list[str]) -> int:
    folder, host, *asked = arguments
    with (Path(folder) / "docker.log").open("a") as log:
        log.write(f"{shlex.join(asked)}\n")
    match asked:
        case ["compose", "--project-name", _, "--file", file, "--profile", "stage", *what]:
            project = Project(Path(folder), host, Path(file))
            profiles = {"stage"}
            while what[:1] == ["--profile"]:
                profiles.add(what[1])
                what = what[2:]
            match what:
                case ["up", "--detach", "--wait", *names]:
                    project.up(profiles, names)
                case ["run", "--rm", "--no-deps", "--no-TTY", name, *command]:
                    return project.run(name, command or project.find_command(name))
                case ["down"]:
                    stop(Path(folder))
                case _:
                    return 64
        case ["run", "--rm", "--user", "0:0", "--volume", volume, image, "chown", owner, *paths]:
            source, place = volume.split(":")
            assert image == OURS
            subprocess.run(["chown", owner, *(path.replace(place, source, 1) for path in paths)], check=True)
        case ["run", *words]:
            return run_container(Path(folder), host, words)
        case ["compose", "version"] | ["info"] | ["build", *_] | ["volume" | "network", "create", "trading"]:
            pass
        case _:
            return 64
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
