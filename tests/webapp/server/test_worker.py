import pytest
from gunicorn.config import Config  # type: ignore[import-untyped] # gunicorn is not typed

from webapp.server.worker import KeptConfig


def test_a_setting_of_gunicorn_is_looked_up_once() -> None:
    config = Config()
    kept = KeptConfig(config)
    assert kept.limit_request_line == config.limit_request_line
    assert kept.forwarded_allow_networks() == config.forwarded_allow_networks()
    config.set("limit_request_line", 17)
    assert kept.limit_request_line != config.limit_request_line


def test_a_setting_that_gunicorn_does_not_have_is_named() -> None:
    with pytest.raises(AttributeError, match="no_such_setting"):
        _ = KeptConfig(Config()).no_such_setting
