"""Starts and stops Prometheus and Grafana: in Docker when an engine is available, otherwise natively."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from common.errors import BadSettingError
from common.links import find_reachable
from common.settings import Settings, write_address
from infra import runbooks
from infra.scrape_token import provide_token
from infra.targets import write_relay_target, write_target

INFRA: Final = Path(__file__).resolve().parent
VAR: Final = INFRA.parent / "var"
READY_SECONDS: Final = 60

_COMPOSE = ["docker", "compose", "--file", str(INFRA / "compose.yml")]
_DOCKER_HOST = "host.docker.internal"


class InfraError(Exception):
    """Prometheus or Grafana is not running; the text says why and what to do."""


def has_engine() -> bool:
    """Return whether a Docker engine with Compose is available."""
    if shutil.which("docker") is None:
        return False
    for command in (["docker", "compose", "version"], ["docker", "info"]):
        try:
            if subprocess.run(command, capture_output=True, check=False, timeout=15).returncode != 0:
                return False
        except subprocess.TimeoutExpired:
            return False
    return True


def up(
    settings: Settings, prometheus_port: int, grafana_port: int, *, alerts: bool = False, alertmanager_port: int = 9093
) -> None:
    """Start Prometheus and Grafana, with ``alerts`` also Alertmanager, and print their addresses. Raises InfraError."""
    in_container = has_engine()
    if not in_container and shutil.which("prometheus") is None:
        raise InfraError(
            "No Docker engine is available and no prometheus is installed. Install Docker, or on Debian:"
            " apt-get install prometheus"
        )
    settings, changed = provide_token(settings, INFRA.parent, in_container=in_container)
    if changed:
        _print(f"Written to .env, so that only Prometheus can read the sidecar: {', '.join(changed)}")
        _print("A stack that runs already needs a restart: make apps-down, then make apps-up.")
    runbooks.write_page(VAR / "prometheus" / "pages")
    links = {"RUNBOOK_URL": runbooks.find_url(settings, prometheus_port), "GRAFANA_URL": settings.grafana_url}
    if in_container:
        write_target(VAR, "targets", write_address(_DOCKER_HOST, settings.sidecar_http_port))
        write_relay_target(VAR, settings, _DOCKER_HOST)
        write_target(VAR, "alertmanagers", *(["alertmanager:9093"] if alerts else []))
        profile = ["--profile", "alerts"] if alerts else []
        command, environment = [*_COMPOSE, *profile, "up", "--detach", "--wait"], {**os.environ, **links}
        if subprocess.run(command, env=environment, check=False).returncode != 0:
            raise InfraError("docker compose could not start the containers; see its message above.")
        _print(f"Prometheus: http://127.0.0.1:{prometheus_port}   Grafana: http://127.0.0.1:{grafana_port}")
        return
    sidecar = write_address(find_reachable(settings.sidecar_http_host), settings.sidecar_http_port)
    write_target(VAR, "targets", sidecar)
    write_relay_target(VAR, settings, find_reachable(settings.relay_http_host))
    write_target(VAR, "alertmanagers", *([f"127.0.0.1:{alertmanager_port}"] if alerts else []))
    if alerts:
        _start_alertmanager(alertmanager_port)
    url = f"http://127.0.0.1:{prometheus_port}"
    _start("prometheus", _prometheus_command(prometheus_port), links, f"{url}/-/ready")
    if shutil.which("grafana-server") is None:
        _print("Grafana is not installed, so there are no dashboards: see grafana.com/grafana/download.")
        return
    home = os.environ.get("GF_PATHS_HOME", "/usr/share/grafana")
    grafana = {
        "DASHBOARDS_PATH": str(INFRA / "grafana" / "dashboards"),
        "PROMETHEUS_URL": url,
        "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH": str(INFRA / "grafana" / "dashboards" / "trading.json"),
        "GF_PATHS_DATA": str(VAR / "grafana"),
        "GF_PATHS_LOGS": str(VAR / "grafana" / "log"),
        "GF_PATHS_PLUGINS": str(VAR / "grafana" / "plugins"),
        "GF_PATHS_PROVISIONING": str(INFRA / "grafana" / "provisioning"),
        "GF_SERVER_HTTP_ADDR": "127.0.0.1",
        "GF_SERVER_HTTP_PORT": str(grafana_port),
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_DASHBOARDS_MIN_REFRESH_INTERVAL": "1s",
    }
    command = ["grafana-server", "--homepath", home]
    _start("grafana", command, grafana, f"http://127.0.0.1:{grafana_port}/api/health")


def _prometheus_command(port: int) -> list[str]:
    return [
        "prometheus",
        f"--config.file={INFRA / 'prometheus' / 'prometheus.yml'}",
        f"--storage.tsdb.path={VAR / 'prometheus' / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        f"--web.user-assets={VAR / 'prometheus' / 'pages'}",
        # Prometheus 3 always does, and says that the flag is not needed.
        "--enable-feature=expand-external-labels",
    ]


def _start_alertmanager(port: int) -> None:
    # Debian's name is the second one.
    program = next(filter(shutil.which, ("alertmanager", "prometheus-alertmanager")), None)
    if program is None:
        _print(f"No alertmanager is installed; start one at 127.0.0.1:{port}, to which Prometheus sends alerts.")
        return
    command = [
        program,
        f"--config.file={INFRA / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={VAR / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        # No other Alertmanager to agree with.
        "--cluster.listen-address=",
    ]
    _start("alertmanager", command, {}, f"http://127.0.0.1:{port}/-/ready")


def down() -> None:
    """Stop what ``up`` started, in Docker and natively."""
    if has_engine():
        subprocess.run([*_COMPOSE, "--profile", "alerts", "down"], check=False)
    for name in ("prometheus", "grafana", "alertmanager"):
        pid = _running(name)
        if pid is not None:
            os.kill(pid, signal.SIGTERM)
            _wait_for(partial(_stopped, name), f"{name} did not stop")
            _print(f"{name} is stopped.")
        _pid_file(name).unlink(missing_ok=True)


def _start(name: str, command: Sequence[str], environment: Mapping[str, str], ready_url: str) -> None:
    if _running(name) is not None:
        _print(f"{name} is already running.")
        return
    log = VAR / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
        )
    _pid_file(name).write_text(str(process.pid))

    def ready() -> bool:
        if process.poll() is not None:
            raise InfraError(f"{name} exited at once; see {log}. Is its port in use?")
        try:
            with urllib.request.urlopen(ready_url, timeout=1) as answer:  # noqa: S310 - loopback
                return bool(answer.status == 200)  # noqa: PLR2004 - OK
        except (urllib.error.URLError, OSError):
            return False

    _wait_for(ready, f"{name} is not ready; see {log}")
    _print(f"{name}: {ready_url}")


def _wait_for(condition: Callable[[], bool], message: str) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise InfraError(message)
        time.sleep(0.1)


def _running(name: str) -> int | None:
    """Return the pid that ``up`` wrote, if it is still that program."""
    try:
        pid = int(_pid_file(name).read_text())
    except (FileNotFoundError, ValueError):
        return None
    command = ["ps", "-ww", "-o", "stat=,args=", "-p", str(pid)]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    return pid if name in shown.stdout and not shown.stdout.startswith("Z") else None


def _stopped(name: str) -> bool:
    return _running(name) is None


def _pid_file(name: str) -> Path:
    return VAR / f"{name}.pid"


def _print(text: str) -> None:
    print(text, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run ``up`` or ``down``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("up", "down"))
    parser.add_argument("--prometheus-port", type=int, default=9090)
    parser.add_argument("--grafana-port", type=int, default=3000)
    parser.add_argument("--alertmanager-port", type=int, default=9093)
    parser.add_argument("--alerts", action="store_true", help="start Alertmanager too")
    given = parser.parse_args(arguments)
    try:
        if given.what == "up":
            up(
                Settings.from_env(),
                given.prometheus_port,
                given.grafana_port,
                alerts=given.alerts,
                alertmanager_port=given.alertmanager_port,
            )
        else:
            down()
    except (InfraError, BadSettingError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
