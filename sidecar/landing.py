"""The landing page of the sidecar: what it is, and where everything else is."""

from collections.abc import Mapping
from html import escape

from common import __version__


def write_landing(links: Mapping[str, str]) -> bytes:
    """Write the page, with links to the other parts by name."""
    others = "".join(f'<li><a href="{escape(url)}">{escape(name)}</a></li>\n' for name, url in links.items())
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Sidecar · Trading Telemetry</title></head>
<body>
<h1>Trading Telemetry sidecar</h1>
<p>It counts each accepted trade once.</p>
<ul>
<li><a href="/metrics">Metrics</a> for Prometheus, or OpenMetrics by the Accept header</li>
<li><a href="/positions">Positions</a> as JSON</li>
<li><a href="/counted?seq=1">Counted</a>: what is known of the trade of a number</li>
<li><a href="/healthz">Liveness</a>: all threads run</li>
<li><a href="/readyz">Readiness</a>: the journal can be read</li>
</ul>
<ul>
{others}</ul>
<footer>Version {escape(__version__)}</footer>
</body>
</html>
""".encode()
