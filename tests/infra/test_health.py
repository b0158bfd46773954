"""The health check of the image asks the process that the container runs."""

import pytest

from common.settings import Settings
from infra.image.health import find_url


@pytest.mark.parametrize(
    ("command", "port"),
    [
        (["python", "-m", "sidecar"], 2),
        (["python", "-m", "relay", "pull"], 3),
        (["gunicorn", "webapp:create_app()"], 1),
        (["sh"], 1),
        ([""], 1),
    ],
)
def test_the_url_is_that_of_the_process(command: list[str], port: int) -> None:
    settings = Settings(webapp_http_port=1, sidecar_http_port=2, relay_http_port=3)
    assert find_url(command, settings) == f"http://127.0.0.1:{port}/healthz"
