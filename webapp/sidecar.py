"""The sidecar as the web process asks it: over HTTP, with its token."""

import contextlib
import http.client
from typing import Final, NamedTuple

from common.links import find_reachable
from common.settings import Settings

TIMEOUT_SECONDS: Final = 1.0
"""How long the sidecar may take for its answer."""


class SidecarAnswer(NamedTuple):
    """What the sidecar answered."""

    status: int
    body: bytes


class SidecarClient:
    """Asks the sidecar on a new connection each time, since it closes each after its answer."""

    def __init__(self, settings: Settings) -> None:
        """Keep its address, and read its token. Raises BadSettingError."""
        self._address = find_reachable(settings.sidecar_http_host), settings.sidecar_http_port
        token = settings.read_sidecar_token()
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> SidecarAnswer | None:
        """Return the sidecar's answer, None when it gives none."""
        connection = http.client.HTTPConnection(*self._address, timeout=TIMEOUT_SECONDS)
        with contextlib.closing(connection), contextlib.suppress(OSError, http.client.HTTPException):
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            return SidecarAnswer(response.status, response.read())
        return None
