from dataclasses import FrozenInstanceError, fields
from ipaddress import ip_network
from pathlib import Path

import pytest

from common.errors import BadSettingError
from common.settings import Settings


def test_without_variables_the_settings_are_the_defaults() -> None:
    assert Settings.from_env({}) == Settings()


def test_values_are_read_from_their_variables() -> None:
    settings = Settings.from_env(
        {
            "WEBAPP_HTTP_PORT": "0",
            "JOURNAL_PATH": "/tmp/j.db",
            "JOURNAL_SYNC": "NORMAL",
            "JOURNAL_RETENTION": "15m",
            "WEBAPP_CORS_ORIGINS": "https://a.example, http://b.example:81",
            "ALLOWED_HOSTS": "desk.example, sidecar",
            "TRUSTED_PROXIES": "127.0.0.1, 10.0.0.0/8,2001:db8::/32",
            "TRADING_SYMBOLS": "btcusdt,ETH/USD",
            "QUOTE_CURRENCIES": "usdt, EUR",
            "WEBAPP_ZMQ_ADDR": "ipc:///run/trades.sock",
            "RELAY_NATS_URL": "tls://nats-1.example:4222, tls://[::1]",
            "RELAY_MAX_BYTES": "2GiB",
            "RELAY_MAX_AGE": "2d",
        }
    )
    assert settings.relay_nats_url == ("tls://nats-1.example:4222", "tls://[::1]")
    assert (settings.relay_max_bytes, settings.relay_max_age) == (2 * 1024**3, 172_800)
    assert settings.webapp_http_port == 0
    assert settings.journal_path == Path("/tmp/j.db")
    assert settings.journal_sync == "normal"
    assert settings.journal_retention == 900
    assert settings.webapp_cors_origins == ("https://a.example", "http://b.example:81")
    assert settings.allowed_hosts == ("desk.example", "sidecar")
    networks = (ip_network("127.0.0.1/32"), ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))
    assert settings.trusted_proxies == networks
    assert settings.trading_symbols == ("BTCUSDT", "ETH/USD")
    assert settings.quote_currencies == ("USDT", "EUR")
    assert settings.webapp_zmq_addr == "ipc:///run/trades.sock"


BAD = {
    "RELAY_TRANSPORT": "kafka",
    "RELAY_NATS_URL": "nats://user:password@a:4222",
    "RELAY_STREAM": "TRADES.*",
    "RELAY_REPLICAS": "6",
    "RELAY_MAX_AGE": "7w",
    "RELAY_MAX_BYTES": "8 GB",
    "RELAY_NKEY_FILE": "var/",
    "RELAY_USER": "two words",
    "RELAY_PASSWORD_FILE": "var/",
    "RELAY_HEARTBEAT": "0",
    "RELAY_HOST_NAMES": "berlin",
    "RELAY_HTTP_HOSTS": "berlin.example",
    "RELAY_TOKEN_FILE": "var/",
    "RELAY_CA_FILE": "/",
    "RELAY_BATCH": "1",
    "RELAY_POLL": "1m",
    "RELAY_HTTP_HOST": "two words",
    "RELAY_HTTP_PORT": "65536",
    "BATCH_MAX_TRADES": "0",
    "BATCH_MAX_BYTES": "8 MiB",
    "BODY_TIMEOUT": "0",
    "WEBAPP_HTTP_HOST": "two words",
    "WEBAPP_HTTP_PORT": "65536",
    "WEBAPP_ZMQ_ADDR": "tcp://*:5555",
    "SIDECAR_HTTP_HOST": "",
    "SIDECAR_HTTP_PORT": "-1",
    "JOURNAL_PATH": "",
    "JOURNAL_SYNC": "off",
    "JOURNAL_RETENTION": "30",
    "SNAPSHOT_PATH": "",
    "AUTH": "yes",
    "SECRET_KEY": "short",
    "SECRET_KEY_FILE": "/",
    "SIDECAR_TOKEN_FILE": "var/",
    "TOKEN_FILE": "/dev/null",
    "LOG_LEVEL": "LOUD",
    "REQUEST_LINES_PER_SECOND": "1k",
    "WEBAPP_CORS_ORIGINS": "example.com",
    "ALLOWED_HOSTS": "*.example",
    "TRUSTED_PROXIES": "10.0.0.1/8",
    "WEB_CONCURRENCY": "0",
    "SYMBOL_LIMIT": "1e3",
    "TRADING_SYMBOLS": "BTCUSDT,A\tB",
    "WRITES_PER_SECOND": "0.5",
    "SIGN_INS_PER_MINUTE": "-1",
    "FEED_MAX_CLIENTS": "many",
    "QUOTE_CURRENCIES": "US$,EUR",
    "SOURCE_LIMIT": "0",
    "POSITIONS": "yes",
    "SILENCE_AFTER": "bot-1",
    "PROMETHEUS_URL": "127.0.0.1:9090",
    "GRAFANA_URL": "javascript:alert(1)",
    "RUNBOOK_URL": "docs/runbooks.md",
    "BACKUP_FOLDER": __file__,
    "BACKUP_KEEP": "0",
    "REPLICA_URL": "file://mnt/other",
}


def test_every_setting_has_a_bad_value_here() -> None:
    assert set(BAD) == {field.name.upper() for field in fields(Settings)}


@pytest.mark.parametrize(("name", "value"), BAD.items())
def test_a_bad_value_stops_the_start_and_names_itself(name: str, value: str) -> None:
    with pytest.raises(BadSettingError) as caught:
        Settings.from_env({name: value})
    assert str(caught.value).startswith(f"{name} is ")
    assert "expected" in str(caught.value)


@pytest.mark.parametrize(
    "value", ["grafana", "http://", "ftp://a", "http://a b", "http://a/b c", "http://ü.example", "http://u:p@a"]
)
def test_a_url_for_a_link_has_a_scheme_and_a_host(value: str) -> None:
    with pytest.raises(BadSettingError) as caught:
        Settings.from_env({"GRAFANA_URL": value})
    assert "expected a URL like http://127.0.0.1:3000, or nothing" in str(caught.value)


def test_a_url_for_a_link_may_be_empty_or_have_a_path() -> None:
    settings = Settings.from_env({"GRAFANA_URL": "https://[::1]:3000/d/x?a=b", "PROMETHEUS_URL": " "})
    assert (settings.grafana_url, settings.prometheus_url) == ("https://[::1]:3000/d/x?a=b", "")


@pytest.mark.parametrize("value", ["a:8000", "http://a", ".a.example,", "a b", "*", "ü.example", "a" * 254])
def test_an_allowed_host_is_a_whole_name(value: str) -> None:
    with pytest.raises(BadSettingError, match="without a port or a wildcard"):
        Settings.from_env({"ALLOWED_HOSTS": value})
    assert Settings.from_env({"ALLOWED_HOSTS": ""}).allowed_hosts == ()


@pytest.mark.parametrize(
    "value", ["bot-1=", "=10m", "bot 1=10m", "other=10m", "bot-1=10", "bot-1=10m,bot-1=20m", "*=1h,", "**=1h"]
)
def test_a_limit_of_silence_names_one_source_and_a_time(value: str) -> None:
    with pytest.raises(BadSettingError, match=r"expected sources with their limits, like bot-1=10m,\*=1h"):
        Settings.from_env({"SILENCE_AFTER": value})
    limits = Settings.from_env({"SILENCE_AFTER": "bot-1=10m, bot_2=0,*=1h"}).silence_after
    assert limits == {"bot-1": 600, "bot_2": 0, "*": 3600}
    assert Settings.from_env({"SILENCE_AFTER": ""}).silence_after == {}


HOST = "3ca5cddaa92c4bbcbaee84b5de2a6bb1"


@pytest.mark.parametrize(
    "value",
    ["berlin", "berlin=", f"={HOST}", f"other={HOST}", f"a={HOST},a={'0' * 32}", f"a={HOST},b={HOST}", f"{HOST}=a"],
)
def test_a_name_of_a_host_is_given_with_its_journal_id_once(value: str) -> None:
    with pytest.raises(BadSettingError, match="expected names of hosts with their journal_ids, like berlin="):
        Settings.from_env({"RELAY_HOST_NAMES": value})
    names = Settings.from_env({"RELAY_HOST_NAMES": f"berlin={HOST}, b-2={'0' * 32}"}).relay_host_names
    assert names == {"berlin": HOST, "b-2": "0" * 32}


def test_a_secret_is_never_shown() -> None:
    with pytest.raises(BadSettingError) as caught:
        Settings.from_env({"SECRET_KEY": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_settings_show_no_secret() -> None:
    settings = Settings(secret_key="hunter2hunter2hunter2")
    assert "hunter2" not in f"{settings} {settings!r}"
    assert "journal_path" in repr(settings)


@pytest.mark.parametrize("value", ["", "replace-me"])
def test_the_web_process_requires_a_secret(value: str) -> None:
    with pytest.raises(BadSettingError, match="SECRET_KEY"):
        Settings.from_env({"SECRET_KEY": value}).require_secret_key()


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().log_level = "DEBUG"  # type: ignore[misc]
