"""The landing page of the relay: its hosts, and where everything else is."""

from collections.abc import Mapping, Sequence
from html import escape

from common import __version__
from relay.puller import HostStatus


def write_landing(hosts: Sequence[HostStatus], links: Mapping[str, str]) -> bytes:
    """Write the page, with links to the other parts by name."""
    rows = "".join(
        f"<tr><td>{escape(host.url)}</td><td>{escape(host.journal_id)}</td><td>{host.last_seq}</td>"
        f"<td>{escape(describe(host))}</td></tr>\n"
        for host in hosts
    )
    others = "".join(f'<li><a href="{escape(url)}">{escape(name)}</a></li>\n' for name, url in links.items())
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Relay · Trading Telemetry</title></head>
<body>
<h1>Trading Telemetry relay</h1>
<p>It writes the trades of each host to the hub once.</p>
<table>
<thead><tr><th>Host</th><th>journal_id</th><th>Read up to seq</th><th>State</th></tr></thead>
<tbody>
{rows}</tbody>
</table>
<ul>
<li><a href="/metrics">Metrics</a> for Prometheus, or OpenMetrics by the Accept header</li>
<li><a href="/healthz">Liveness</a>: all threads run</li>
<li><a href="/readyz">Readiness</a>: every host is read</li>
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
