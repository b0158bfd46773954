"""A host over HTTP: asks its web process for trades."""

from pathlib import Path
from typing import Final

import msgspec
import requests

from common.errors import RelayError
from relay.chain import Page, check_trades

CONNECT_SECONDS: Final = 2.0
READ_SECONDS: Final = 10.0

BYTES_MAX: Final = 8 * 1024 * 1024
"""The largest answer that is read: that of 1,000 trades is smaller than 1 MiB."""

_ACCESS: Final = {401, 403}
_CHUNK: Final = 64 * 1024
_DETAIL_LENGTH: Final = 300

_decoder = msgspec.json.Decoder(Page)


class HttpHost:
    """Asks one host, over one connection that is kept; it belongs to one thread."""

    def __init__(self, url: str, token: str | None, ca_file: Path | None = None) -> None:
        """Keep the address; ``ca_file`` has the certificates to trust instead of the system's."""
        self._url = f"{url}/trades"
        self._session = requests.Session()
        # A .netrc would replace the token.
        self._session.trust_env = False
        self._session.headers["Accept-Encoding"] = "identity"
        self._session.verify = True if ca_file is None else str(ca_file)
        if token is not None:
            self._session.headers["Authorization"] = f"Bearer {token}"

    def ask(self, after: int, limit: int) -> Page:
        """Return the first trades after a seq. Raises RelayError."""
        query = {"after": after, "limit": limit}
        try:
            # A redirect would send the token elsewhere.
            with self._session.get(
                self._url, params=query, timeout=(CONNECT_SECONDS, READ_SECONDS), allow_redirects=False, stream=True
            ) as response:
                body = self._read(response)
        except requests.exceptions.SSLError as error:
            raise RelayError("tls", str(error)[:_DETAIL_LENGTH]) from error
        except (requests.RequestException, OSError) as error:
            raise RelayError("unreachable", str(error)[:_DETAIL_LENGTH]) from error
        if response.status_code != requests.codes.ok:
            reason = "access" if response.status_code in _ACCESS else "status"
            text = body[:_DETAIL_LENGTH].decode(errors="replace").strip()
            raise RelayError(reason, f"{response.status_code} {text}")
        try:
            page = _decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise RelayError("body", f"the answer is not a page of trades: {error}") from error
        check_trades(page.trades)
        return page

    def _read(self, response: requests.Response) -> bytes:
        body = b""
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if len(body) > BYTES_MAX:
                raise RelayError("body", f"the answer has more than {BYTES_MAX} bytes")
        return body

    def close(self) -> None:
        """Close the connection."""
        self._session.close()
