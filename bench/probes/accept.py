"""The web application without a server: ``accept.py SIZE COUNT`` sends requests of SIZE trades in this process.

With one it is ``POST /trade``, otherwise ``POST /trades``. It prints µs of processor time a trade as JSON.
"""

import io
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from common.logs import configure_logging
from common.settings import Settings
from webapp import create_app
from webapp.services import services

WARM_UP: Final = 20
TRADE: Final = {"symbol": "BTCUSDT", "side": "BUY", "price": "27123.45", "qty": "0.25"}


def accept(size: int, requests: int) -> dict[str, float]:
    """Send requests; returns µs of processor time a trade, and how many were accepted."""
    body = json.dumps(TRADE if size == 1 else [TRADE | {"price": f"{27_000 + n}.5"} for n in range(size)]).encode()
    statuses: list[str] = []
    configure_logging("web", "INFO")

    def start_response(status: str, _: list[tuple[str, str]], *__: object) -> Any:  # noqa: ANN401 - nothing calls it
        statuses.append(status)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        app = create_app(
            Settings(secret_key="s" * 32, journal_path=path / "journal.db", webapp_zmq_addr=f"ipc://{path}/hints")
        )

        def post() -> None:
            environ = {
                "REQUEST_METHOD": "POST",
                "PATH_INFO": "/trade" if size == 1 else "/trades",
                "SCRIPT_NAME": "",
                "QUERY_STRING": "",
                "CONTENT_TYPE": "application/json",
                "CONTENT_LENGTH": str(len(body)),
                "SERVER_NAME": "127.0.0.1",
                "SERVER_PORT": "8000",
                "SERVER_PROTOCOL": "HTTP/1.1",
                "HTTP_HOST": "127.0.0.1:8000",
                "REMOTE_ADDR": "127.0.0.1",
                "wsgi.version": (1, 0),
                "wsgi.url_scheme": "http",
                "wsgi.input": io.BytesIO(body),
                "wsgi.errors": sys.stderr,
                "wsgi.multithread": False,
                "wsgi.multiprocess": True,
                "wsgi.run_once": False,
            }
            answer = app.wsgi_app(environ, start_response)
            b"".join(answer)
            # A server closes what it has sent: then the request is logged and counted.
            getattr(answer, "close", lambda: None)()

        for _ in range(WARM_UP):
            post()
        statuses.clear()
        began = time.process_time()
        for _ in range(requests):
            post()
        spent = time.process_time() - began
        services(app).close()
    return {"µs": spent / requests / size * 1e6, "accepted": statuses.count("201 CREATED")}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(accept(int(sys.argv[1]), int(sys.argv[2]))))
