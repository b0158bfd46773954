"""The hosts of a hub, by the settings: their addresses, and the token for each."""

from typing import Final
from urllib.parse import urlsplit

from common.errors import BadSettingError
from common.hosts import is_loopback
from common.secret_files import SECRET_MIN, read_secret_text
from common.settings import Settings

_EXPECTED: Final = (
    f"a file with one token of {SECRET_MIN} or more characters for every host,"
    " or with a line for each: its URL, a space, its token"
)


def read_hosts(settings: Settings) -> dict[str, str | None]:
    """Return the token of each host by its URL; None without a file. Raises BadSettingError."""
    urls = settings.relay_http_hosts
    if not urls:
        raise BadSettingError("RELAY_HTTP_HOSTS", None, "the URLs of the hosts, like https://berlin.example")
    for url in urls:
        found = urlsplit(url)
        if found.scheme != "https" and settings.auth != "off" and not is_loopback(found.hostname or ""):
            raise BadSettingError("RELAY_HTTP_HOSTS", url, 'https beyond loopback, or AUTH="off"')
    path = settings.relay_token_file
    if path is None:
        return dict.fromkeys(urls)
    lines = [line.split() for line in read_secret_text("RELAY_TOKEN_FILE", path).splitlines()]
    if len(lines) == 1 and len(lines[0]) == 1:
        lines = [[url, lines[0][0]] for url in urls]
    if any(len(line) != 2 or len(line[1]) < SECRET_MIN for line in lines):  # noqa: PLR2004 - a URL and a token
        raise BadSettingError("RELAY_TOKEN_FILE", str(path), _EXPECTED)
    tokens = {line[0].rstrip("/"): line[1] for line in lines}
    missing = [url for url in urls if url not in tokens]
    if missing:
        raise BadSettingError("RELAY_TOKEN_FILE", str(path), f"{_EXPECTED}; there is none for {missing[0]}")
    return {url: tokens[url] for url in urls}
