"""What a relay shows to the broker: bad settings are named, secrets are not shown, and no word goes out without TLS."""

from pathlib import Path

import pytest
from nacl.signing import SigningKey

from common.errors import BadSettingError, RelayError
from common.settings import Settings
from relay.access import read_access
from relay.nkey import Nkey

URL = {"RELAY_NATS_URL": "tls://nats.example:4222"}


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.touch(0o600)
    path.write_text("canary-of-the-password\n")
    return path


def make(**settings: object) -> Settings:
    return Settings.from_env(URL | {name: str(value) for name, value in settings.items()})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"RELAY_NATS_URL": ""}, "RELAY_NATS_URL is not set; expected the URLs"),
        ({"RELAY_NATS_URL": "nats://nats.example"}, 'expected tls beyond loopback, or AUTH="off"'),
        ({"RELAY_NATS_URL": "nats://127.0.0.1,tls://a"}, "expected URLs that are all of tls, or all of nats"),
        ({"RELAY_USER": "host"}, "RELAY_PASSWORD_FILE is not set; expected a file with the password of RELAY_USER"),
        ({"RELAY_CA_FILE": "/nowhere"}, "RELAY_CA_FILE is '/nowhere'; expected a file with certificates"),
        ({"RELAY_NKEY_FILE": "{secret}"}, "expected a file with the seed of a user's key"),
        ({"RELAY_NKEY_FILE": "{secret}", "RELAY_USER": "host"}, "expected nothing, since RELAY_NKEY_FILE is set"),
    ],
)
def test_a_bad_setting_is_named(settings: dict[str, str], message: str, secret: Path) -> None:
    given = {name: value.replace("{secret}", str(secret)) for name, value in settings.items()}
    with pytest.raises(BadSettingError) as caught:
        read_access(make(**given))
    assert message in str(caught.value)
    assert "canary" not in str(caught.value)


def test_a_secret_that_others_may_read_stops_the_start(secret: Path) -> None:
    secret.chmod(0o644)
    for given in ({"RELAY_NKEY_FILE": secret}, {"RELAY_USER": "host", "RELAY_PASSWORD_FILE": secret}):
        with pytest.raises(BadSettingError, match="0644"):
            read_access(make(**given))


def test_a_password_is_shown_only_over_tls(secret: Path) -> None:
    settings = make(RELAY_USER="host", RELAY_PASSWORD_FILE=secret)
    assert read_access(settings, lambda: True).options["password"]() == "canary-of-the-password"
    access = read_access(settings, lambda: False)
    for show in (access.options["password"], access.check_tls):
        with pytest.raises(RelayError, match="does not offer TLS"):
            show()
    off = make(RELAY_NATS_URL="nats://nats.example", AUTH="off", RELAY_USER="host", RELAY_PASSWORD_FILE=secret)
    assert read_access(off, lambda: False).options["password"]() == "canary-of-the-password"


def test_a_key_signs_and_is_not_among_the_options(secret: Path) -> None:
    key = Nkey(SigningKey.generate())
    secret.write_text(key.write_seed())
    access = read_access(make(RELAY_NKEY_FILE=secret))
    assert access.public_key == key.public
    assert access.options["signature_cb"]("nonce") == key.sign("nonce")
    assert key.write_seed() not in repr(access)


def test_a_key_signs_only_over_tls(secret: Path) -> None:
    secret.write_text(Nkey(SigningKey.generate()).write_seed())
    with pytest.raises(RelayError, match="does not offer TLS"):
        read_access(make(RELAY_NKEY_FILE=secret), lambda: False).options["signature_cb"]("nonce")
