"""The landing page of the relay: what passes, and where everything else is."""

from collections.abc import Mapping, Sequence
from html import escape

from common import __version__
from relay.puller import HostStatus
from relay.stream_status import StreamStatus

Row = tuple[str, str, str, str]


def write_landing(hosts: Sequence[HostStatus], links: Mapping[str, str]) -> bytes:
    """Write the page of a hub that asks its hosts, with links to the other parts by name."""
    rows = [(host.url, host.journal_id, str(host.last_seq), describe(host)) for host in hosts]
    lead = "It writes the trades of each host to the hub once."
    return _write(lead, ("Host", "journal_id", "Read up to seq", "State"), rows, "every host is read", links)


def write_stream_landing(status: StreamStatus, links: Mapping[str, str]) -> bytes:
    """Write the page of a relay over a stream."""
    rows = [
        (each.journal_id, str(each.last_seq), str(each.journal_last_seq), each.wrong or "passes")
        for each in list(status.journals.values())
    ]
    what = {"push": "sends the trades of this host to", "pull": "writes to the hub, once, the trades of"}
    broker = status.describe() if status.wrong is not None else "connected"
    lead = f"It {what[status.direction]} the stream at {status.address}: {broker}."
    head = ("journal_id", "Passed up to seq", "Newest seq known", "State")
    return _write(lead, head, rows, "trades pass, of every journal", links)


def _write(lead: str, head: Row, rows: Sequence[Row], ready: str, links: Mapping[str, str]) -> bytes:
    titles = "".join(f"<th>{title}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>\n" for row in rows)
    others = "".join(f'<li><a href="{escape(url)}">{escape(name)}</a></li>\n' for name, url in links.items())
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Relay · Trading Telemetry</title></head>
<body>
<h1>Trading Telemetry relay</h1>
<p>{escape(lead)}</p>
<table>
<thead><tr>{titles}</tr></thead>
<tbody>
{lines}</tbody>
</table>
<ul>
<li><a href="/metrics">Metrics</a> for Prometheus, or OpenMetrics by the Accept header</li>
<li><a href="/healthz">Liveness</a>: all threads run</li>
<li><a href="/readyz">Readiness</a>: {ready}</li>
</ul>
<ul>
{others}</ul>
<footer>Version {escape(__version__)}</footer>
</body>
</html>
""".encode()


def describe(host: HostStatus) -> str:
    """Say in a few words whether a host is read."""
    if host.wrong is not None:
        return f"{host.wrong.reason}: {host.wrong.detail}" if host.wrong.reason else host.wrong.detail
    return "catching up" if host.lag_seconds else "read"
