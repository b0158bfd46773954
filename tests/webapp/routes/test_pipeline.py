import threading
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from prometheus_client import CollectorRegistry

from common.hosts import HostRule
from common.journal.store import Journal
from common.serving.server import Server
from common.settings import Settings
from sidecar.routes import Registries, Routes
from tests.conftest import append, make_trade
from webapp import create_app


def test_the_pipeline_shows_a_sidecar_that_is_unreachable_or_behind(settings: Settings, journal: Journal) -> None:
    append(journal, [make_trade() for n in range(5)])

    def get_pipeline(app: Flask) -> dict[str, Any]:
        return app.test_client().get("/pipeline").json or {}

    server = Server("127.0.0.1", 0)
    port = server.server_address[1]
    unreachable = get_pipeline(create_app(Settings(**{**vars(settings), "sidecar_http_port": port})))
    assert unreachable["sidecar"] == {"reachable": False, "ready": False, "last_seq": None}
    assert (unreachable["web"]["ready"], unreachable["last_seq"], unreachable["lag_events"]) == (
        True,
        journal.last_seq(),
        None,
    )
    registries = Registries(CollectorRegistry(), CollectorRegistry())
    routes = Routes(HostRule("127.0.0.1"), registries, lambda: None, lambda: None, lambda: 2)
    server.open(routes.answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    behind = get_pipeline(create_app(Settings(**{**vars(settings), "sidecar_http_port": port})))
    assert behind["sidecar"] == {"reachable": True, "ready": True, "last_seq": 2}
    assert behind["lag_events"] == journal.last_seq() - 2
    server.shutdown()
    thread.join(20)
    server.server_close()


def test_the_pipeline_shows_why_trades_are_rejected(client: FlaskClient, settings: Settings) -> None:
    assert client.get("/trades").status_code == 200
    for path in settings.journal_path.parent.glob("journal.db*"):
        path.unlink()
    shown: Any = client.get("/pipeline").json
    assert shown["web"] == {"ready": False, "reason": "replaced"}
