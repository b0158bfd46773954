"""Files with secrets: which are read, which are rejected, and that no message shows what is in them."""

import os
from pathlib import Path

import pytest

from common.errors import BadSettingError
from common.secret_files import describe_exposure, read_secret
from common.settings import Settings

SECRET = "a-canary-that-no-message-shows"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


def reject(path: Path) -> str:
    with pytest.raises(BadSettingError) as caught:
        read_secret("SECRET_KEY_FILE", path)
    message = str(caught.value)
    assert message.startswith(f"SECRET_KEY_FILE is {str(path)!r}; expected ")
    assert "\n" not in message
    assert "canary" not in message
    return message


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_secret_is_the_line_of_its_file(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert read_secret("SECRET_KEY_FILE", file) == SECRET
    link = file.with_name("link")
    link.symlink_to(file)
    assert read_secret("SECRET_KEY_FILE", link) == SECRET


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o660, 0o602, 0o644])
def test_a_file_that_others_may_read_or_write_is_rejected(file: Path, mode: int) -> None:
    file.chmod(mode)
    assert reject(file).endswith(f"a file that only its owner may read, with mode 0600; its mode is {mode:04o}")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize(
    ("me", "owner", "group", "mode", "exposure"),
    [
        (1000, 1000, 1000, 0o600, ""),
        (1000, 1000, 1000, 0o640, "its mode is 0640"),
        (1000, 1001, 1000, 0o600, "its owner is the user 1001"),
        (0, 1000, 1000, 0o600, "its owner is the user 1000"),
        # As systemd gives a credential to a service's user: by an access list.
        (1000, 0, 0, 0o440, ""),
        (1000, 0, 0, 0o444, "its mode is 0444"),
        (1000, 0, 1000, 0o440, "its mode is 0440"),
        (0, 0, 0, 0o440, "its mode is 0440"),
    ],
)
def test_a_file_is_exposed_by_its_owner_group_and_mode(  # noqa: PLR0913, PLR0917 - one row of the table
    monkeypatch: pytest.MonkeyPatch, me: int, owner: int, group: int, mode: int, exposure: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: me)
    assert describe_exposure(os.stat_result((0o100000 | mode, 1, 1, 1, owner, group, 1, 0, 0, 0))) == exposure


@pytest.mark.parametrize(
    "text", ["", "short", "two words in one line", "a" * 20 + "\n" + "b" * 20, "ü" * 20, "a" * 5000]
)
def test_a_file_that_holds_no_secret_is_rejected(file: Path, text: str) -> None:
    file.write_text(text)
    assert "one line of 16 or more visible ASCII characters" in reject(file)


def test_what_is_no_file_is_rejected_without_waiting(tmp_path: Path) -> None:
    assert "No such file" in reject(tmp_path / "missing")
    assert "irectory" in reject(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "not a folder or a device" in reject(tmp_path / "pipe")


def test_the_secret_key_may_be_in_a_file_or_in_the_variable_but_not_in_both(file: Path) -> None:
    settings = Settings.from_env({"SECRET_KEY": "", "SECRET_KEY_FILE": str(file)})
    assert settings.require_secret_key() == SECRET
    assert SECRET not in repr(settings)
    both = Settings.from_env({"SECRET_KEY": "another secret of the variable", "SECRET_KEY_FILE": str(file)})
    with pytest.raises(BadSettingError, match="expected nothing, since SECRET_KEY is set"):
        both.require_secret_key()


def test_the_sample_is_no_secret_in_a_file_either(file: Path) -> None:
    file.write_text("replace-me\n")
    with pytest.raises(BadSettingError, match="one line of 16 or more"):
        Settings(secret_key_file=file).require_secret_key()
