"""Which hosts are asked, and with which token."""

from pathlib import Path

import pytest

from common.errors import BadSettingError
from common.settings import Settings
from relay.hosts import read_hosts

BERLIN, TOKYO = "https://berlin.example", "https://tokyo.example/desk"
FIRST, SECOND = "tt_first-of-the-tokens", "tt_second-of-the-tokens"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.touch(mode)
    path.write_text(text)
    return path


def test_one_token_is_for_every_host(tmp_path: Path) -> None:
    settings = Settings(relay_http_hosts=(BERLIN, TOKYO), relay_token_file=write(tmp_path / "t", f"{FIRST}\n"))
    assert read_hosts(settings) == {BERLIN: FIRST, TOKYO: FIRST}


def test_each_host_has_the_token_of_its_line(tmp_path: Path) -> None:
    text = f"{TOKYO}/ {SECOND}\n{BERLIN} {FIRST}\n"
    settings = Settings(relay_http_hosts=(BERLIN, TOKYO), relay_token_file=write(tmp_path / "t", text))
    assert read_hosts(settings) == {BERLIN: FIRST, TOKYO: SECOND}


@pytest.mark.parametrize("text", ["", "short", f"{BERLIN} {FIRST}", f"{BERLIN} {FIRST} x\n{TOKYO} {FIRST}", "a b"])
def test_a_file_without_a_token_for_each_host_stops_the_start_and_shows_none(tmp_path: Path, text: str) -> None:
    settings = Settings(relay_http_hosts=(BERLIN, TOKYO), relay_token_file=write(tmp_path / "t", text))
    with pytest.raises(BadSettingError, match="expected a file with one token") as caught:
        read_hosts(settings)
    assert FIRST not in str(caught.value)


def test_a_file_that_others_may_read_stops_the_start(tmp_path: Path) -> None:
    path = write(tmp_path / "t", FIRST)
    path.chmod(0o644)
    with pytest.raises(BadSettingError, match=r"RELAY_TOKEN_FILE is .* 0644"):
        read_hosts(Settings(relay_http_hosts=(BERLIN,), relay_token_file=path))


def test_a_token_does_not_leave_the_machine_in_clear_text() -> None:
    with pytest.raises(BadSettingError, match="expected https beyond loopback"):
        read_hosts(Settings(relay_http_hosts=("http://berlin.example",)))
    assert read_hosts(Settings(relay_http_hosts=("http://127.0.0.1:8000", "http://localhost:1")))
    assert read_hosts(Settings(relay_http_hosts=("http://web:8000",), auth="off"))


def test_without_hosts_it_does_not_start() -> None:
    with pytest.raises(BadSettingError, match="RELAY_HTTP_HOSTS is not set; expected the URLs of the hosts"):
        read_hosts(Settings())


@pytest.mark.parametrize("value", ["berlin", "ftp://a", "https://a,https://a/", "https://a b"])
def test_a_host_is_a_url_that_is_there_once(value: str) -> None:
    with pytest.raises(BadSettingError, match="expected URLs like"):
        Settings.from_env({"RELAY_HTTP_HOSTS": value})


@pytest.mark.parametrize(("value", "milliseconds"), [("250", 250), ("20ms", 20), ("2s", 2000)])
def test_the_time_between_requests_is_in_milliseconds(value: str, milliseconds: int) -> None:
    assert Settings.from_env({"RELAY_POLL": value}).relay_poll == milliseconds
    for bad in ("1ms", "2m", "61s", "-1", ""):
        with pytest.raises(BadSettingError):
            Settings.from_env({"RELAY_POLL": bad})


def test_beyond_loopback_the_relay_needs_the_token_of_its_clients() -> None:
    with pytest.raises(BadSettingError, match=r"since RELAY_HTTP_HOST is '0\.0\.0\.0'"):
        Settings(relay_http_host="0.0.0.0").require_relay_token()
