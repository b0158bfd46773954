"""``make infra-up`` lets Prometheus alone read the sidecar, without a manual step."""

import json
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from dotenv import dotenv_values

from common.settings import Settings
from infra import stack as infra_stack
from infra.scrape_token import COPY, TOKEN_FILE, find_missing
from tests.conftest import ROOT, require_program
from tests.system.checkout import Checkout
from tests.system.stack import Stack, free_ports
from tests.waiting import wait_for

pytestmark = pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")

EARLIER = (ROOT / "tests" / "data" / "0.1.0" / "env").read_text()

DOCKER = """#!/bin/sh
echo "$@" >> docker.log
"""
"""An engine that starts nothing, as far as ``make infra-up`` sees."""


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    made = Checkout(tmp_path / "checkout")
    (made.folder / "bin").mkdir()
    (made.folder / "bin" / "docker").write_text(DOCKER)
    (made.folder / "bin" / "docker").chmod(0o755)
    try:
        yield made
    finally:
        made.kill()


@pytest.mark.parametrize(
    ("host", "auth", "in_container", "platform", "missing"),
    [
        ("127.0.0.1", "auto", True, "linux", {"SIDECAR_TOKEN_FILE", "SIDECAR_HTTP_HOST"}),
        ("127.0.0.1", "auto", True, "darwin", {"SIDECAR_TOKEN_FILE"}),
        ("0.0.0.0", "auto", True, "linux", {"SIDECAR_TOKEN_FILE"}),
        ("127.0.0.1", "auto", False, "linux", set()),
        ("0.0.0.0", "auto", False, "linux", {"SIDECAR_TOKEN_FILE"}),
        ("0.0.0.0", "off", False, "linux", set()),
    ],
)
def test_a_token_is_made_where_others_could_reach_the_sidecar(
    *,
    host: str,
    auth: str,
    in_container: bool,
    platform: str,
    missing: set[str],
) -> None:
    settings = Settings(sidecar_http_host=host, auth=auth)
    assert set(find_missing(settings, in_container=in_container, platform=platform)) == missing
    with_token = Settings(sidecar_http_host="0.0.0.0", auth=auth, sidecar_token_file=Path("a"))
    assert find_missing(with_token, in_container=in_container, platform=platform) == {}


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_the_settings_of_0_1_0_need_no_hand(checkout: Checkout, host: str) -> None:
    ports = dotenv_values(checkout.folder / ".env")
    text = EARLIER.replace('SIDECAR_HTTP_HOST="127.0.0.1"', f'SIDECAR_HTTP_HOST="{host}"')
    for name in ("WEBAPP_HTTP_PORT", "SIDECAR_HTTP_PORT", "WEBAPP_ZMQ_ADDR"):
        text = re.sub(rf'{name}=".*"', f'{name}="{ports[name]}"', text)
    (checkout.folder / ".env").write_text(text)

    for attempt in ("first", "again"):
        done = checkout.run("PATH=$PWD/bin:$PATH make infra-up")
        assert done.returncode == 0, done.stderr
        assert ("Written to .env" in done.stdout) == (attempt == "first")
    assert "compose.yml up --detach --wait" in (checkout.folder / "docker.log").read_text()

    found = dotenv_values(checkout.folder / ".env")
    token = (checkout.folder / TOKEN_FILE).read_text().strip()
    assert found["SIDECAR_HTTP_HOST"] == "0.0.0.0"
    assert found["SECRET_KEY"] == "a-key-that-0.1.0-had-made-itself"
    assert token not in done.stdout + done.stderr + (checkout.folder / ".env").read_text()
    modes = {path: stat.S_IMODE((checkout.folder / path).stat().st_mode) for path in (TOKEN_FILE, COPY, Path(".env"))}
    assert modes == {TOKEN_FILE: 0o600, COPY: 0o644, Path(".env"): 0o600}
    assert stat.S_IMODE((checkout.folder / COPY).parent.stat().st_mode) == 0o700
    assert (checkout.folder / COPY).read_text() == token

    checkout.launch("make apps-up")
    checkout.wait_ready()
    url = f"{checkout.sidecar_url}/metrics"
    assert requests.get(url, timeout=60).status_code == 401
    assert requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=60).status_code == 200
    pipeline = requests.get(f"{checkout.web_url}/pipeline", timeout=60).json()
    assert pipeline["sidecar"] == {"reachable": True, "ready": True, "last_seq": 0}


def test_prometheus_sends_the_token_by_its_own_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    require_program("prometheus")
    shutil.copytree(ROOT / "infra" / "prometheus", tmp_path / "infra" / "prometheus")
    (tmp_path / "var").mkdir()
    token = tmp_path / "token"
    with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write("a-token-for-prometheus-only\n")
    monkeypatch.setattr(infra_stack, "INFRA", tmp_path / "infra")
    monkeypatch.setattr(infra_stack, "VAR", tmp_path / "var")
    monkeypatch.setattr(infra_stack, "has_engine", lambda: False)
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "grafana-server" else which(name))
    (port,) = free_ports(1)
    with Stack(tmp_path, SIDECAR_TOKEN_FILE=str(token)) as stack:
        stack.start()
        assert requests.get(f"{stack.sidecar_url}/metrics", timeout=60).status_code == 401
        try:
            infra_stack.up(Settings.from_env(stack.settings), port, 3000)

            def ask() -> list[str]:
                answer = requests.get(f"http://127.0.0.1:{port}/api/v1/query", {"query": "up"}, timeout=60).json()
                return [sample["value"][1] for sample in answer["data"]["result"]]

            wait_for(lambda: ask() == ["1"], "Prometheus reads the sidecar", 30)
            assert stack.run_cli("audit").returncode == 0
            del stack.settings["SIDECAR_TOKEN_FILE"]
            refused = stack.run_cli("audit")
            assert refused.returncode == 1
            assert "name it with --token-file" in refused.stderr
            assert stack.run_cli("audit", "--token-file", str(token)).returncode == 0
        finally:
            infra_stack.down()
    assert "a-token" not in "".join(capfd.readouterr())
    assert json.loads((tmp_path / "var/prometheus/targets/sidecar.json").read_text())
