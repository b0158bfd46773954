"""What ``doctor`` asks the sidecar: whether it counts this journal, saves its counters, and hears every worker."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

import click
from prometheus_client.parser import text_string_to_metric_families

from common import __version__
from common.errors import BadSettingError, JournalError
from common.journal.opening import inspect
from common.links import find_reachable
from common.settings import Settings, write_address
from common.timestamps import now
from webapp.cli.client import get
from webapp.cli.findings import START, Findings, fail, note, ok
from webapp.cli.server_checks import is_taken, name_other

STALE_SECONDS: Final = 60
"""As the alert SnapshotStale."""

LAG_TRADES: Final = 100
"""As the alert LagGrows."""

_VERSION: Final = "sidecar_build_info"
_SAME: Final = "set the same JOURNAL_PATH for web and sidecar, and restart both"


def check_sidecar(settings: Settings) -> Findings:
    """Check that the sidecar answers, and by its metrics that it does its work."""
    port = settings.sidecar_http_port
    url = f"http://{write_address(find_reachable(settings.sidecar_http_host), port)}/"
    if not is_taken(settings.sidecar_http_host, port):
        yield note("sidecar", f"nothing listens at {url}", START)
        yield from _check_hint_port(settings)
        return
    try:
        # Before the scrape, so that trades accepted meanwhile are no difference.
        last_seq = inspect(settings.journal_path).last_seq
    except JournalError:
        last_seq = 0
    try:
        token = settings.read_sidecar_token()
        # Also without its token.
        get(urljoin(url, "readyz")).json()["status"]
        metrics = _read(get(urljoin(url, "metrics"), token).text)
        counted = int(float(metrics["sidecar_last_seq"]))
    except BadSettingError as error:
        yield fail("sidecar", error.detail, "chmod 600 the file, or make it again")
    except click.ClickException as error:
        if error.message.startswith("no answer"):
            todo = f"ss -ltnp 'sport = :{port}' names its process; ps -o stat= -p PID: T is stopped, kill -CONT PID"
            yield fail("sidecar", f"it listens at {url} and does not answer", todo)
        else:
            has_token = "/metrics" not in error.message
            todo = "give SIDECAR_TOKEN_FILE the token that the sidecar was started with"
            yield fail("sidecar", error.message, "see its log (runbook journal-unreadable)" if has_token else todo)
    except (ValueError, LookupError, TypeError):
        yield name_other("sidecar", url, port)
    else:
        yield from _check_counting(url, counted, last_seq, metrics)
        yield from _check_workers(settings, metrics)


def _check_counting(url: str, counted: int, last_seq: int, metrics: Mapping[str, str]) -> Findings:
    journal = int(float(metrics.get("sidecar_journal_last_seq", last_seq)))
    version = metrics.get(_VERSION, "unknown")
    age = now().timestamp() - float(metrics.get("sidecar_snapshot_timestamp_seconds", now().timestamp()))
    if counted > max(last_seq, journal):
        yield fail("sidecar", f"it has counted up to seq {counted}, but the journal ends at {last_seq}", _SAME)
    elif journal < last_seq:
        found = f"it reads a journal that ends at seq {journal}, but this one ends at {last_seq}"
        yield fail("sidecar", found, _SAME)
    elif journal - counted > LAG_TRADES:
        found = f"it counts at {url}, {journal - counted} trades behind"
        yield note("sidecar", found, "look again in a minute; if there are more then, see the runbook lag-grows")
    else:
        yield ok("sidecar", f"it counts at {url}, {max(0, journal - counted)} trades behind")
    if version != __version__:
        yield fail("sidecar", f"it is version {version}, this is {__version__}", "finish the update: restart it")
    if age > STALE_SECONDS:
        yield fail("snapshot", f"the sidecar saved its counters {age:.0f} s ago", "see the runbook snapshot-fails")


def _check_workers(settings: Settings, metrics: Mapping[str, str]) -> Findings:
    if not is_taken(settings.webapp_http_host, settings.webapp_http_port):
        return
    workers = int(float(metrics.get("webapp_workers", 0)))
    configured = int(float(metrics.get("webapp_workers_configured", 0))) or settings.web_concurrency
    found = f"{workers} of {configured} report to the sidecar"
    if workers == 0:
        todo = "set the same WEBAPP_ZMQ_ADDR and JOURNAL_PATH for web and sidecar, and restart both (runbook web-down)"
        yield fail("workers", found, todo)
    elif workers < configured:
        yield fail("workers", found, "see the runbook workers-missing")
    else:
        yield ok("workers", found)


def _read(exposition: str) -> dict[str, str]:
    """Return the values of the metrics that have no labels, and the version. Raises ValueError."""
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    values = {sample.name: str(sample.value) for sample in samples if not sample.labels}
    return values | {sample.name: sample.labels["version"] for sample in samples if sample.name == _VERSION}


def _check_hint_port(settings: Settings) -> Findings:
    address = urlsplit(settings.webapp_zmq_addr)
    host, port = address.hostname, address.port if address.scheme == "tcp" else None
    if host and port and is_taken(host, port):
        yield name_other("hints", settings.webapp_zmq_addr, port)
