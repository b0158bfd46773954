"""The token of the sidecar's clients: what it opens, and when the sidecar requires one."""

import http
import json
from email.message import Message
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from common.errors import BadSettingError
from common.hosts import HostRule
from common.serving.answers import Answer, Request
from common.settings import Settings
from sidecar.routes import Registries, Routes

TOKEN = "sidecar-token-of-this-test"


def ask(path: str, token: str | None = TOKEN, **headers: str) -> Answer:
    registries = Registries(CollectorRegistry(), CollectorRegistry())
    routes = Routes(
        HostRule("127.0.0.1"),
        registries,
        lambda: None,
        lambda: None,
        lambda: 7,
        read_positions=lambda: b"{}",
        token=token,
    )
    message = Message()
    for name, value in ({"Host": "127.0.0.1"} | headers).items():
        message[name] = value
    return routes.answer(Request("GET", path, "HTTP/1.1", message))


@pytest.mark.parametrize("path", ["/", "/metrics", "/positions", "/nothing", "/%6detrics", "//metrics"])
@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer ü"]
)
def test_without_the_token_nothing_but_health_is_answered(path: str, authorization: str) -> None:
    answer = ask(path, Authorization=authorization)
    assert answer.status == http.HTTPStatus.UNAUTHORIZED
    assert ("WWW-Authenticate", "Bearer") in answer.headers
    assert json.loads(answer.body)["reason"] == "token"
    assert TOKEN.encode() not in answer.body


def test_health_is_open_and_shows_no_number_of_trades() -> None:
    assert ask("/healthz").status == http.HTTPStatus.OK
    assert json.loads(ask("/readyz").body) == {"status": "ready"}


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_with_the_token_everything_is_answered_under_any_name(scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {TOKEN}", "Host": "any.example"}
    assert ask("/metrics", **headers).status == http.HTTPStatus.OK
    assert ask("/positions", **headers).body == b"{}"
    assert json.loads(ask("/readyz", **headers).body) == {"status": "ready", "last_seq": 7}


def test_without_a_token_of_its_own_the_sidecar_is_open_and_checks_names() -> None:
    assert ask("/metrics", None, Authorization="Bearer anything").status == http.HTTPStatus.OK
    assert ask("/metrics", None, Authorization="Bearer ", Host="any.example").status == http.HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_the_sidecar_needs_no_token(host: str) -> None:
    assert Settings(sidecar_http_host=host).require_sidecar_token() is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "sidecar"])
@pytest.mark.parametrize("auth", ["auto", "required"])
def test_beyond_loopback_the_sidecar_requires_a_token(tmp_path: Path, host: str, auth: str) -> None:
    with pytest.raises(BadSettingError, match="SIDECAR_TOKEN_FILE is not set; expected a file with the token"):
        Settings(sidecar_http_host=host, auth=auth).require_sidecar_token()
    assert Settings(sidecar_http_host=host, auth="off").require_sidecar_token() is None
    file = tmp_path / "token"
    file.touch(0o600)
    file.write_text(TOKEN)
    for each in (auth, "off"):
        settings = Settings(sidecar_http_host=host, auth=each, sidecar_token_file=file)
        assert settings.require_sidecar_token() == TOKEN
    file.chmod(0o644)
    with pytest.raises(BadSettingError, match="its mode is 0644"):
        Settings(sidecar_token_file=file).require_sidecar_token()
