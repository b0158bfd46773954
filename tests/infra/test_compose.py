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
NATS = ROOT / "infra" / "nats" / "compose.yml"
SPEC: dict[str, Any] = yaml.safe_load(FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = SPEC["services"]


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("compose-spec", [FILE, NATS]),
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
    assert {each["file"] for each in SPEC["secrets"].values()} == {f"${{VAR:-../var}}/secrets/{name}" for name in made}
    # Again: they stay as they are.
    assert stage.make_files() == []
    assert made == {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}


def test_no_secret_is_in_the_environment_of_a_service() -> None:
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            assert not re.search("KEY|TOKEN|PASSWORD", name) or (
                name.endswith("_FILE") and value.startswith("/run/secrets/")
            )


def test_only_nginx_can_be_published_beyond_loopback() -> None:
    published = {name: port for name, service in SERVICES.items() for port in service.get("ports", [])}
    beyond = [name for name, port in published.items() if not port.startswith("127.0.0.1:")]
    assert beyond == ["nginx"]
    assert published["nginx"].startswith("${STAGE_ADDRESS:-127.0.0.1}:")


def test_our_containers_can_change_nothing_but_their_volume() -> None:
    for name in ("web", "sidecar"):
        service = SERVICES[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["volumes"] == ["trading:/var/lib/trading-telemetry"]


def test_every_other_image_has_a_fixed_version() -> None:
    images = {service["image"] for service in SERVICES.values()} - {"${TRADING_IMAGE:-trading-telemetry}"}
    assert all(re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", image) for image in images), images


def test_the_node_of_nats_has_the_files_of_its_command_and_is_on_loopback() -> None:
    (node,) = yaml.safe_load(NATS.read_text())["services"].values()
    assert node["ports"][0].startswith("${NATS_ADDRESS:-127.0.0.1}:")
    assert re.fullmatch(r"nats:\d+\.\d+\.\d+", node["image"])
    assert node["read_only"] is True
    text = "".join((NATS.parent / name).read_text() for name in ("node.conf", "one.conf"))
    assert set(re.findall(r"\$(NATS_\w+)", text)) == set(node["environment"])
    for source in (volume.split(":")[0] for volume in node["volumes"] if volume.startswith("./")):
        assert (NATS.parent / source).is_file()
