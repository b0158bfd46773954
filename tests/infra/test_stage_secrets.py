"""The stage's secrets for NATS: made whole, or made again with the next start."""

from pathlib import Path

import pytest

from infra import stage


def test_secrets_that_could_not_be_given_are_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, has_nats = stage._make_relay_secrets, stage._has_nats  # noqa: SLF001 - what a start does
    given: list[tuple[str, ...]] = []

    def fail(_: str, *__: str) -> None:
        raise stage.StageError("no engine")

    monkeypatch.setattr(stage, "STAGE", tmp_path)
    monkeypatch.setattr(stage, "INFRA", tmp_path / "infra")
    monkeypatch.setattr(stage, "SECRETS", tmp_path / "secrets")
    monkeypatch.setattr(stage, "_compose", lambda *_: "a" * 32)
    monkeypatch.setattr(stage, "_give", fail)
    stage.SECRETS.mkdir()
    with pytest.raises(stage.StageError):
        make("image")
    assert not has_nats()
    monkeypatch.setattr(stage, "_give", lambda _, *names: given.append(names))
    make("image")
    assert has_nats()
    assert set(given[0]) == {"relay.ca", "relay-admin.key", "relay.key.new"}
    assert {file.name for file in stage.SECRETS.iterdir()} == {"relay.ca", "relay-admin.key", "relay.key"}
