"""The image, built and run with the real tools. A base made by debootstrap stands in for the pinned one."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import ROOT, require, require_program
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

BASE = "localhost/trading-telemetry-base"
TAG = "localhost/trading-telemetry-test"
SECRET = "a-secret-of-this-test-only"

# The limits of this process may be lower than the ones that podman would set.
LIMITS = ["--ulimit", "nofile=4096:4096", "--ulimit", "nproc=1024:1024"]
# The health check is called by hand: podman's timer needs systemd.
PLAIN = ["--runtime", "runc", "--no-healthcheck", "--network", "host", *LIMITS]
LOCKED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges"]


def run(*command: str, seconds: float = 500) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()


def make_base(folder: Path) -> None:
    """Import Debian's base system as an image, with the certificates of this machine."""
    base = folder / "base"
    run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", str(base))
    for each in ("var/lib/apt/lists", "var/cache/apt", "usr/share/doc", "usr/share/man", "usr/share/locale"):
        shutil.rmtree(base / each)
        (base / each).mkdir()
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", base / "etc/ssl/certs/ca-certificates.crt")
    run("tar", "-C", str(base), "-cf", str(folder / "base.tar"), ".")
    run("podman", "import", "--quiet", str(folder / "base.tar"), BASE)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    for program in ("debootstrap", "buildah", "podman", "runc"):
        require_program(program)
    require("root" if os.geteuid() == 0 else None, "root, which debootstrap needs,")
    folder = tmp_path_factory.mktemp("image")
    try:
        make_base(folder)
        first = subprocess.run(["podman", "run", "--rm", *PLAIN, BASE, "true"], capture_output=True, check=False)
        if first.returncode != 0:
            pytest.skip(f"the kernel does not allow containers here: {first.stderr.decode()[-300:]}")
        build = [sys.executable, "-m", "infra.image.build", "--tool", "buildah", "--tag", TAG, "--"]
        run(*build, "--isolation", "chroot", "--build-arg", f"BASE={BASE}")
        yield TAG
    finally:
        subprocess.run(["podman", "rmi", "--force", TAG, BASE], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


class Containers:
    """Web and sidecar in containers, on free ports, with their files in one volume, locked with a token."""

    def __init__(self, image: str, folder: Path) -> None:
        self.stack = Stack(folder)
        self._image = image
        self._names: list[str] = []
        self._volume = folder / "volume"
        self._volume.mkdir(mode=0o700)
        os.chown(self._volume, 10001, 10001)

    def write_command(self, *options: str) -> list[str]:
        """Write the start of a command that runs a container."""
        ports = {key: self.stack.settings[key] for key in ("WEBAPP_HTTP_PORT", "SIDECAR_HTTP_PORT")}
        # On loopback only, since these tests share the host's network.
        hosts = {"WEBAPP_HTTP_HOST": "127.0.0.1", "SIDECAR_HTTP_HOST": "127.0.0.1"}
        settings = {"SECRET_KEY": SECRET, "AUTH": "required"} | hosts | ports
        environ = [word for key, value in settings.items() for word in ("--env", f"{key}={value}")]
        volume = ["--volume", f"{self._volume}:/var/lib/trading-telemetry"]
        return ["podman", "run", *PLAIN, *LOCKED, *volume, *environ, *options, self._image]

    def start(self, name: str, *command: str) -> str:
        """Start a container, and return its name."""
        container = f"{self._volume.parent.name}-{name}"
        self._names.append(container)
        run(*self.write_command("--detach", "--name", container), *command)
        return container

    def make_token(self) -> None:
        """Make a token, which the stack sends from now on."""
        created = [".venv/bin/flask", "--app", "webapp", "tokens", "create", "bot", "--scope", "trade:write"]
        self.token = run(*self.write_command("--rm"), *created)

    def post(self) -> int:
        """Send a trade, and return the status of the answer."""
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.post(f"{self.stack.web_url}/trade", json=TRADE, headers=headers, timeout=20).status_code

    def start_both(self) -> tuple[str, str]:
        """Start web and sidecar, wait until both are ready, and return their names."""
        web, sidecar = self.start("web"), self.start("sidecar", "python", "-m", "sidecar")
        for url in (self.stack.web_url, self.stack.sidecar_url):
            wait_for(lambda url=url: is_ready(url), f"{url} is ready", 60)  # type: ignore[misc]
        return web, sidecar

    def kill(self) -> None:
        """Kill and remove all containers."""
        for name in self._names:
            subprocess.run(["podman", "rm", "--force", "--time", "0", name], capture_output=True, check=False)
        self._names.clear()


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=5).status_code == 200
    except requests.RequestException:
        return False


@pytest.fixture
def containers(image: str, tmp_path: Path) -> Iterator[Containers]:
    made = Containers(image, tmp_path)
    try:
        yield made
    finally:
        made.kill()


@pytest.mark.timeout(900)
def test_the_image_is_small_and_says_what_it_is(image: str) -> None:
    found: Any = json.loads(run("podman", "image", "inspect", image))[0]
    assert found["Size"] < 200_000_000
    assert found["Config"]["User"] == "10001:10001"
    assert found["HealthCheck" if "HealthCheck" in found else "Healthcheck"]["Test"][0] == "CMD"
    labels = found["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "Trading Telemetry"
    assert labels["org.opencontainers.image.version"] not in {"", "unknown"}
    assert labels["org.opencontainers.image.revision"] not in {"", "unknown"}
    assert "SECRET" not in json.dumps(found["Config"])


def test_trades_through_the_containers_are_counted_once_also_after_kills(containers: Containers) -> None:
    containers.make_token()
    web, sidecar = containers.start_both()
    stack = containers.stack
    assert stack.post(TRADE).status_code == 401
    for _ in range(20):
        assert containers.post() == 201
    stack.wait_counted(20)
    # kill -9 of each container; another one goes on with the files in the volume.
    for killed in (web, sidecar):
        run("podman", "kill", "--signal", "KILL", killed)
    containers.kill()
    stack.renew()
    containers.start_both()
    for _ in range(5):
        assert containers.post() == 201
    stack.wait_counted(25)


def test_without_a_credential_it_says_how_to_make_one_and_exits(containers: Containers) -> None:
    everywhere = ["--rm", "--env", "AUTH=auto", "--env", "WEBAPP_HTTP_HOST=0.0.0.0"]
    done = subprocess.run(containers.write_command(*everywhere), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ".venv/bin/flask --app webapp tokens create NAME --scope trade:write" in done.stderr + done.stdout
    assert SECRET not in done.stderr + done.stdout


def test_a_container_is_locked_down_and_healthy(containers: Containers) -> None:
    for container in containers.start_both():
        run("podman", "exec", container, "python", "-m", "infra.image.health")
        assert run("podman", "exec", container, "id", "-u") == "10001"
        for path in ("/app/x", "/etc/x", "/x"):
            written = subprocess.run(["podman", "exec", container, "touch", path], capture_output=True, check=False)
            assert b"Read-only file system" in written.stderr
        for program in ("gcc", "cc", "c++", "make", "pip"):
            found = subprocess.run(["podman", "exec", container, "which", program], capture_output=True, check=False)
            assert found.returncode != 0, program
        # It ends by SIGTERM, within the time that engines give.
        started = time.monotonic()
        run("podman", "stop", "--time", "60", container)
        assert time.monotonic() - started < 60
        assert run("podman", "inspect", "--format", "{{.State.ExitCode}}", container) == "0"


def test_a_container_whose_process_does_not_answer_is_unhealthy(containers: Containers) -> None:
    for container in containers.start_both():
        elsewhere = ["--env", "WEBAPP_HTTP_PORT=1", "--env", "SIDECAR_HTTP_PORT=1"]
        check = ["podman", "exec", *elsewhere, container, "python", "-m", "infra.image.health"]
        assert subprocess.run(check, capture_output=True, check=False).returncode == 1
