"""Webhooks on a real stack: one trade through retries to any worker, kills and restarts, and no token in any log."""

import json
import shlex
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import requests

from tests.system.stack import Stack
from tests.waiting import wait_for

SECRET = "tt_secret_in_a_path"
ALERT = {"ticker": "BTCUSDT", "action": "buy", "contracts": 0.25, "close": 64210.5}
FAILING = """
from webapp import create_app

def make():
    app = create_app()
    def fail(environ, start_response):
        raise RuntimeError("a bug outside the application")
    app.wsgi_app = fail
    return app
"""


def post(stack: Stack, alert: object, token: str = "open") -> requests.Response:
    """Send an alert, and send it again when the disk was slow."""
    headers = {"Content-Type": "text/plain; charset=utf-8"}
    for _ in range(10):
        answer = requests.post(f"{stack.web_url}/hooks/{token}", json.dumps(alert), headers=headers, timeout=60)
        if answer.status_code != 503:
            break
    return answer


def test_alerts_that_are_sent_again_to_any_worker_and_after_a_restart_are_one_trade_each(cold: Stack) -> None:
    cold.start()
    fills = [ALERT | {"id": f"fill-{number}"} for number in range(5)]
    with ThreadPoolExecutor(16) as clients:
        # Each alert at once from many clients, then once more.
        answers = list(clients.map(partial(post, cold), [ALERT, *fills] * 8))
    assert {answer.status_code for answer in answers} == {201}
    assert sum(not answer.json()["duplicate"] for answer in answers) <= 6
    assert len({answer.json()["trade"]["id"] for answer in answers}) == 6
    for worker in cold.workers():
        before = cold.workers()
        worker.kill()
        wait_for(lambda: len(cold.workers() - before) == 1, "another worker is running")  # noqa: B023 - waited for here
    cold.stop()
    cold.start()
    for alert, answer in zip(fills, answers[1:6], strict=True):
        again = post(cold, alert).json()
        assert again["duplicate"]
        assert again["trade"] == answer.json()["trade"]
    cold.wait_counted(6)
    assert cold.total("trading_quantity_total", symbol="BTCUSDT", side="BUY") == 1.5


def test_no_log_and_no_metric_has_the_token_of_a_path(cold: Stack) -> None:
    cold.start()
    assert post(cold, ALERT, SECRET).status_code == 404
    assert post(cold, ALERT, f"{SECRET}/x").status_code == 404
    assert requests.get(f"{cold.web_url}/hooks/{SECRET}", timeout=60).status_code == 405
    assert post(cold, ALERT).status_code == 201
    labels = {"route": "/hooks/<token>", "status": "404"}
    wait_for(lambda: cold.total("webapp_http_requests_total", **labels) == 1, "the requests are counted")
    assert cold.total("webapp_trades_rejected_total", reason="not_found") == 1
    assert SECRET not in requests.get(f"{cold.sidecar_url}/metrics", timeout=60).text
    cold.stop()
    assert '"token_hash"' in cold.log.read_text()
    assert SECRET not in cold.log.read_text()


def test_a_bug_outside_the_application_is_logged_without_the_path(tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    procfile = tmp_path / "Procfile"
    folder = shlex.quote(str(tmp_path))
    procfile.write_text(f"web: exec gunicorn --pythonpath {folder} 'failing:make()'\n")
    with Stack(tmp_path) as stack:
        stack.launch("web", procfile)

        def is_answered() -> bool:
            try:
                return post(stack, ALERT, SECRET).status_code == 500
            except requests.ConnectionError:
                return False

        wait_for(is_answered, "the web process answers", 30)
    log = stack.log.read_text()
    assert "a bug outside the application" in log
    assert SECRET not in log
