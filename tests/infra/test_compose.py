"""The compose file, and the schemas of it and of the workflows; ``tests/system/test_stage.py`` runs its services."""

import re
import subprocess
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra import stage
from tests.conftest import ROOT
from tests.system.stack import BIN

FILE = ROOT / "infra" / "compose.yml"
SPEC: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = SPEC["services"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("compose-spec", [FILE]),
        ("github-workflows", sorted((ROOT / ".github" / "workflows").glob("*.yml"))),
        ("dependabot", [ROOT / ".github" / "dependabot.yml"]),
    ],
)
def test_a_file_follows_its_schema(schema: str, files: list[Path], tmp_path: Path) -> None:
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", f"vendor.{schema}"]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # So that a schema that allows all would be noticed.
    (tmp_path / "bad.yml").write_text(
        re.sub("^(services|jobs|updates):", "thing:", files[0].read_text(), flags=re.MULTILINE)
    )
    bad = subprocess.run([*command, str(tmp_path / "bad.yml")], capture_output=True, text=True, check=False)
    assert bad.returncode == 1


def test_the_web_process_believes_the_fixed_address_of_nginx() -> None:
    address = IPv4Address(SERVICES["nginx"]["networks"]["default"]["ipv4_address"])
    (config,) = SPEC["networks"]["default"]["ipam"]["config"]
    assert SERVICES["web"]["environment"]["TRUSTED_PROXIES"] == str(address)
    assert address in IPv4Network(config["subnet"])
    assert address not in IPv4Network(config["ip_range"])


def test_every_secret_that_a_service_has_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage, "STAGE", tmp_path)
    monkeypatch.setattr(stage, "SECRETS", tmp_path / "secrets")
    assert set(stage.make_files()) == {"secret_key", "sidecar_token", "trading.key"}
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "secrets").iterdir()} == {0}
    named = {
        each if isinstance(each, str) else each["source"]
        for spec in SERVICES.values()
        for each in spec.get("secrets", [])
    }
    assert named == set(SPEC["secrets"])
    # With NATS also these; test_stage.py makes them.
    more = {"secrets/relay.ca", "secrets/relay.key", "secrets/relay-admin.key", "nats/server.pem", "nats/server.key"}
    files = {each["file"].removeprefix("${VAR:-../var}/") for each in SPEC["secrets"].values()}
    assert files == {f"secrets/{name}" for name in made} | more
    # Again: they stay as they are.
    assert stage.make_files() == []
    assert made == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}


def test_no_secret_is_in_the_environment_of_a_service() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            # The last one is a path too, which the server's files name.
            is_path = name.endswith("_FILE") or name == "NATS_KEY"
            assert not re.search("KEY|TOKEN|PASSWORD", name) or (is_path and value.startswith("/run/secrets/"))


def test_only_nginx_and_nats_can_be_published_beyond_loopback() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    beyond = [name for name, port in published.items() if not port.startswith("127.0.0.1:")]
    assert beyond == ["nats", "nginx"]
    assert published["nats"].startswith("${NATS_ADDRESS:-127.0.0.1}:")
    assert published["nginx"].startswith("${STAGE_ADDRESS:-127.0.0.1}:")


def test_our_containers_can_change_nothing_but_their_volume() -> None:
    for name in ("web", "sidecar", "push", "pull", "stream"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["volumes"] == ["trading:/var/lib/trading-telemetry"]


def test_every_other_image_has_a_fixed_version() -> None:
    images = {service["image"] for service in SERVICES.values()} - {"${TRADING_IMAGE:-trading-telemetry}"}
    assert all(re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", image) for image in images), images


def test_the_node_of_nats_has_every_variable_of_its_files() -> None:
    node = SERVICES["nats"]
    assert node["read_only"] is True
    text = "".join((ROOT / "infra" / "nats" / name).read_text() for name in ("node.conf", "one.conf"))
    assert set(re.findall(r"\$(NATS_\w+)", text)) == set(node["environment"])


def test_a_relay_starts_only_when_its_profile_is_asked_for_and_only_one_has_the_administrators_key() -> None:
    profiles = {name: service.get("profiles", []) for name, service in SERVICES.items()}
    assert [profiles[name] for name in ("nats", "push", "pull", "stream")] == [["nats"], ["push"], ["pull"], ["stream"]]
    keys = {
        name: each["source"] if isinstance(each, dict) else each
        for name, service in SERVICES.items()
        for each in service.get("secrets", [])
        if "relay_" in str(each) and "key" in str(each)
    }
    assert keys == {"push": "relay_key", "pull": "relay_key", "stream": "relay_admin_key"}
