"""Skipping: going on with a host that has deleted trades which the hub does not have, and never will."""

import contextlib

from common.errors import HubError, RelayError
from common.event import SEQ_MAX
from common.journal.store import Journal
from common.settings import Settings
from relay.hosts import read_hosts
from relay.http_host import HttpHost


def skip(settings: Settings, url: str) -> str:
    """Move the mark of a host to the seq up to which it has deleted its trades, and say in a sentence what was done.

    Raises BadSettingError, HubError, RelayError and JournalError.
    """
    tokens, url = read_hosts(settings), url.rstrip("/")
    if url not in tokens:
        raise RelayError("host", f"{url} is not in RELAY_HTTP_HOSTS; expected one of {', '.join(tokens)}")
    host = HttpHost(url, tokens[url], settings.relay_ca_file)
    with contextlib.closing(host), Journal(settings.journal_path, settings.journal_sync) as journal:
        if journal.list_hosts() is None:
            raise HubError("trades", f"journal {journal.path} is that of no hub; expected one that pull has begun")
        page = host.ask(SEQ_MAX, 1)
        mark = journal.read_mark(page.journal_id)
        if page.pruned_seq <= mark.last_seq:
            return f"Nothing is skipped: the hub has all trades of {url} up to seq {mark.last_seq}."
        journal.skip_host(page.journal_id, page.pruned_seq)
        return f"Skipped seq {mark.last_seq + 1} to {page.pruned_seq} of {url}: the hub will never have those trades."
