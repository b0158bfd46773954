"""The alerts that fire, as Prometheus at ``PROMETHEUS_URL`` knows them, for the desk."""

import contextlib
import http
import http.client
import json
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

from webapp.sharing import share

SHARED_SECONDS: Final = 5.0
"""How long one answer is shared: rules are evaluated that often."""

TIMEOUT_SECONDS: Final = 1.0
ANSWER_BYTES: Final = 1024 * 1024
ALERTS_MAX: Final = 20


class Alert(TypedDict):
    """An alert that fires; ``runbook_url`` says what to do, and is empty when the rule has none that opens."""

    name: str
    severity: str
    summary: str
    since: str
    runbook_url: str


class Alerts:
    """Asks Prometheus, which may not be there."""

    def __init__(self, url: str) -> None:
        """Keep the address of Prometheus, empty for none."""
        self._url = url
        self.get = share(self._ask, SHARED_SECONDS, 1)

    def _ask(self) -> list[Alert] | None:
        """Return the alerts that fire; None without an answer."""
        url = urlsplit(self._url)
        if not url.hostname:
            return None
        kind = http.client.HTTPSConnection if url.scheme == "https" else http.client.HTTPConnection
        # Whatever answers there: it may be another program.
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
            with contextlib.closing(kind(url.hostname, url.port, timeout=TIMEOUT_SECONDS)) as connection:
                connection.request("GET", f"{url.path.rstrip('/')}/api/v1/alerts")
                answer = connection.getresponse()
                body = answer.read(ANSWER_BYTES)
            if answer.status == http.HTTPStatus.OK:
                found = json.loads(body)["data"]["alerts"]
                return [_read(each) for each in found if each["state"] == "firing"][:ALERTS_MAX]
        return None


def _read(alert: Any) -> Alert:  # noqa: ANN401 - JSON
    labels, notes = alert["labels"], alert["annotations"]
    runbook = str(notes.get("runbook_url", ""))
    return {
        "name": str(labels["alertname"]),
        "severity": str(labels.get("severity", "")),
        "summary": str(notes.get("summary", "")),
        "since": str(alert["activeAt"]),
        "runbook_url": runbook if runbook.startswith(("http://", "https://")) else "",
    }
