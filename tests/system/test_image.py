"""The image, built and run with the real tools."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.conftest import ROOT, require, require_program
from tests.system.image import IMAGE_PROGRAMS, NOT_ALLOWED, PLAIN, TAG, end_build, start_build
from tests.system.stack import TRADE, Stack
from tests.waiting import wait_for

SECRET = "a-secret-of-this-test-only"

LOCKED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop", "all", "--security-opt", "no-new-privileges"]


def run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the tag of an image that was built from this checkout."""
    for program in IMAGE_PROGRAMS:
        require_program(program)
    require("root" if os.geteuid() == 0 else None, "root, which mmdebstrap needs,")
    log = tmp_path_factory.mktemp("image") / "build.log"
    build = start_build(log)
    try:
        code = build.wait(800)
        if code == NOT_ALLOWED:
            pytest.skip(f"the kernel does not allow containers here: {log.read_text()[-300:]}")
        assert code == 0, log.read_text()[-4000:]
        yield TAG
    finally:
        end_build(build)


class Containers:
    """Web and sidecar in containers, on free ports, with their files in one volume, locked with a token."""

    def __init__(self, image: str, folder: Path) -> None:
        self.stack = Stack(folder)
        self._image = image
        self._running: dict[str, str] = {}
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

    def start(self, url: str, *command: str) -> str:
        """Start what answers at ``url`` if it does not run, wait until it is ready, and return its container's id."""
        if url not in self._running:
            self._running[url] = run(*self.write_command("--detach"), *command)
        container = self._running[url]
        try:
            wait_for(lambda: is_ready(url) or not is_running(container), f"{url} is ready", 120, every=0.2)
            assert is_running(container), "it has ended"
        except AssertionError as error:
            logs = ["podman", "logs", "--tail", "50", container]
            log = subprocess.run(logs, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout
            self.remove()
            raise AssertionError(f"{error}; the container's log:\n{log}") from error
        return container

    def make_token(self) -> None:
        """Make a token, which ``post`` sends from now on."""
        created = ["flask", "--app", "webapp", "tokens", "create", "bot", "--scope", "trade:write"]
        self.token = run(*self.write_command("--rm"), *created)

    def post(self, **fields: str) -> int:
        """Send a trade, and return the status of the answer."""
        headers, trade = {"Authorization": f"Bearer {self.token}"}, TRADE | fields
        return requests.post(f"{self.stack.web_url}/trade", json=trade, headers=headers, timeout=60).status_code

    def start_both(self) -> tuple[str, str]:
        """Start web and sidecar if they do not run, wait until both are ready, and return their ids."""
        self.stack.renew()
        return self.start(self.stack.web_url), self.start(self.stack.sidecar_url, "python", "-m", "sidecar")

    def remove(self) -> None:
        """Kill what runs, and remove all containers."""
        for container in self._running.values():
            subprocess.run(["podman", "rm", "--force", "--time", "0", container], capture_output=True, check=False)
        self._running.clear()


def is_ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/readyz", timeout=60).status_code == 200
    except requests.RequestException:
        return False


def is_running(container: str) -> bool:
    return run("podman", "inspect", "--format", "{{.State.Running}}", container) == "true"


@pytest.fixture(scope="module")
def containers(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    made = Containers(image, tmp_path_factory.mktemp("containers"))
    try:
        made.make_token()
        yield made
    finally:
        made.remove()


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


def test_without_a_credential_it_says_how_to_make_one_and_exits(containers: Containers) -> None:
    everywhere = ["--rm", "--tmpfs", "/empty", "--env", "JOURNAL_PATH=/empty/journal.db", "--env", "AUTH=auto"]
    command = containers.write_command(*everywhere, "--env", "WEBAPP_HTTP_HOST=0.0.0.0")
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert ".venv/bin/flask --app webapp tokens create NAME --scope trade:write" in done.stderr + done.stdout
    assert SECRET not in done.stderr + done.stdout


def test_a_container_is_locked_down_and_healthy(containers: Containers) -> None:
    paths = ("/app/x", "/etc/x", "/x")
    look = f"id -u; touch {' '.join(paths)} 2>&1; which gcc cc c++ make pip; true"
    for container in containers.start_both():
        run("podman", "exec", container, "python", "-m", "infra.image.health")
        user, *rejected = run("podman", "exec", container, "sh", "-c", look).splitlines()
        assert user == "10001"
        assert rejected == [f"touch: cannot touch '{path}': Read-only file system" for path in paths]


def test_a_container_whose_process_does_not_answer_is_unhealthy(containers: Containers) -> None:
    for container in containers.start_both():
        elsewhere = ["--env", "WEBAPP_HTTP_PORT=1", "--env", "SIDECAR_HTTP_PORT=1"]
        check = ["podman", "exec", *elsewhere, container, "python", "-m", "infra.image.health"]
        assert subprocess.run(check, capture_output=True, check=False).returncode == 1


def test_trades_through_the_containers_are_counted_once_also_after_kills(containers: Containers) -> None:
    stack = containers.stack
    both = containers.start_both()
    assert stack.post(TRADE).status_code == 401
    # The Python of the image's base is older than most, and its patterns had faults.
    assert containers.post(price="5.") == 422
    for _ in range(20):
        assert containers.post() == 201
    stack.wait_counted(20, 60)
    # kill -9 of each container; another one goes on with the files in the volume.
    for killed in both:
        run("podman", "kill", "--signal", "KILL", killed)
    containers.remove()
    again = containers.start_both()
    for _ in range(5):
        assert containers.post() == 201
    stack.wait_counted(25, 60)
    # They end by SIGTERM, within the time that engines give.
    for container in again:
        started = time.monotonic()
        run("podman", "stop", "--time", "60", container)
        assert time.monotonic() - started < 60
        assert run("podman", "inspect", "--format", "{{.State.ExitCode}}", container) == "0"
    containers.remove()
