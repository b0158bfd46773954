"""What ``doctor`` asks the relay: whether trades pass, how far each host is, and how the stream was made."""

import socket
from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import urljoin, urlsplit

import click
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from common import __version__
from common.errors import BadSettingError
from common.links import find_reachable
from common.settings import Settings, write_address
from common.timestamps import now
from webapp.cli.client import get
from webapp.cli.findings import Findings, fail, note, ok
from webapp.cli.server_checks import ask, is_taken, name_other

SILENT_SECONDS: Final = 60
LAG_SECONDS: Final = 60
"""As the alerts RelayHostSilent and RelayLags."""

CONNECT_SECONDS: Final = 2.0
NATS_PORT: Final = 4222

_CHOSEN: Final = {"num_replicas": "RELAY_REPLICAS", "max_age": "RELAY_MAX_AGE", "max_bytes": "RELAY_MAX_BYTES"}
"""What an administrator may have chosen elsewhere; with another value of the rest the stream may lose trades."""

_DISCONNECTED: Final = "see the runbook relay-disconnected"
_TODO: Final = {
    " unreachable: ": _DISCONNECTED,
    " full: ": "see the runbook relay-stream-full",
    " conflict: ": "see the runbook relay-conflict",
    "is another trade": "see the runbook relay-conflict",
    " pruned: ": "see the runbook relay-pruned",
    "a batch follows": "see the runbook relay-rewinds",
    " stream: ": "make the stream: .venv/bin/python -m relay setup, with the settings of its administrator",
    " access: ": "its token, or its user and rights at the stream: see the runbook relay-disconnected",
}
"""By words of what keeps the relay from being ready; of several hosts each may have its own."""


def check_relay(settings: Settings) -> Findings:
    """Check the relay of a hub, or of a host that pushes; elsewhere there is none."""
    streams = settings.relay_transport == "nats"
    if not (streams or settings.relay_http_hosts):
        return
    if streams:
        yield from _check_servers(settings)
    url = f"http://{write_address(find_reachable(settings.relay_http_host), settings.relay_http_port)}/"
    if not _listens(find_reachable(settings.relay_http_host), settings.relay_http_port):
        found = f"nothing listens at {url}"
        todo = "start it: .venv/bin/python -m relay pull" + (" at a hub, push at a host" if streams else "")
        if is_taken(settings.webapp_http_host, settings.webapp_http_port):
            yield fail("relay", f"{found}: no trade passes", f"{todo} (runbook relay-down)")
        else:
            yield note("relay", found, todo)
        return
    alive, ready = ask(url, "healthz"), ask(url, "readyz")
    if isinstance(alive, str) and alive.startswith("no answer"):
        todo = f"ss -ltnp 'sport = :{settings.relay_http_port}' names its process; ps -o stat= -p PID: T is stopped"
        yield fail("relay", f"it listens at {url} and does not answer", f"{todo}, kill -CONT PID")
        return
    if isinstance(alive, str) or alive.get("status") != "alive":
        yield name_other("relay", url, settings.relay_http_port)
        return
    if isinstance(ready, str):
        todos = dict.fromkeys(todo for words, todo in _TODO.items() if words in ready)
        yield fail("relay", ready, "; ".join(todos) or _DISCONNECTED)
    else:
        yield ok("relay", f"trades pass at {url}")
    yield from _check_metrics(settings, url)


def _listens(host: str, port: int) -> bool:
    """Return whether something listens there, perhaps in another container."""
    try:
        socket.create_connection((host, port), CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


def _check_servers(settings: Settings) -> Findings:
    """Check that each server of NATS is reached: a relay knows the one that it uses."""
    if not settings.relay_nats_url:
        yield fail("NATS", "RELAY_NATS_URL is empty", "set it: the URLs of the servers (docs/scaling.md)")
    away = []
    for url in settings.relay_nats_url:
        parts = urlsplit(url)
        try:
            socket.create_connection((parts.hostname or "", parts.port or NATS_PORT), CONNECT_SECONDS).close()
        except OSError as error:
            away.append(url)
            found = f"{url} is not reached: {error.strerror or error}"
            yield fail("NATS", found, "does nats-server run there, and what is between: address, firewall?")
    if settings.relay_nats_url and not away:
        yield ok("NATS", f"reached: {', '.join(settings.relay_nats_url)}")


def _check_metrics(settings: Settings, url: str) -> Findings:
    try:
        text = get(urljoin(url, "metrics"), settings.read_sidecar_token()).text
        families = {family.name: family for family in text_string_to_metric_families(text)}
    except BadSettingError as error:
        yield fail("relay", error.detail, "chmod 600 the file, or make it again")
        return
    except (click.ClickException, ValueError) as error:
        found = error.message if isinstance(error, click.ClickException) else f"{url}metrics is no exposition"
        yield fail("relay", found, "give SIDECAR_TOKEN_FILE the token that the relay was started with")
        return
    versions = [labels["version"] for labels, _ in _read(families, "relay_build_info")]
    if versions != [__version__]:
        found = f"it is version {', '.join(versions) or 'unknown'}, this is {__version__}"
        yield fail("relay", found, "finish the update: restart it")
    yield from _check_stream(families)
    yield from _check_hosts(settings, families)


def _read(families: Mapping[str, Metric], name: str) -> Iterator[tuple[Mapping[str, str], float]]:
    for sample in families[name].samples if name in families else ():
        yield sample.labels, sample.value


def _check_stream(families: Mapping[str, Metric]) -> Findings:
    others = [labels["setting"] for labels, differs in _read(families, "relay_stream_differs") if differs]
    wrong = [name for name in others if name not in _CHOSEN]
    chosen = [f"{name} ({_CHOSEN[name]})" for name in others if name in _CHOSEN]
    if wrong:
        todo = ".venv/bin/python -m relay setup says what it expects; change it with the command nats stream edit"
        yield fail("stream", f"it was made otherwise, and may lose trades: {', '.join(wrong)}", todo)
    if chosen:
        found = f"it differs from the settings here: {', '.join(chosen)}"
        yield note("stream", found, "set here what it was made with")


def _check_hosts(settings: Settings, families: Mapping[str, Metric]) -> Findings:
    """Check at a hub when each host was last seen, and at a host how far it was pushed."""
    names = {journal_id: name for name, journal_id in settings.relay_host_names.items()}
    journals = {
        name: {labels["journal_id"]: value for labels, value in _read(families, f"relay_{name}")}
        for name in ("last_seq", "journal_last_seq", "lag_seconds", "host_last_seen_timestamp_seconds")
    }
    for labels, seen in _read(families, "relay_host_last_seen_timestamp_seconds"):
        journal_id = labels["journal_id"]
        host = f"{names[journal_id]} ({journal_id})" if journal_id in names else journal_id
        passed = int(journals["last_seq"].get(journal_id, 0))
        # Over HTTP the newest seq of the host is not known.
        newest = journals["journal_last_seq"].get(journal_id)
        waits = "" if newest is None else f", {max(0, int(newest) - passed)} trades wait"
        lag = journals["lag_seconds"].get(journal_id, 0.0)
        age = now().timestamp() - seen
        last = f"{age:.0f} s ago" if seen else "not since its start"
        found = f"{host} has passed up to seq {passed}{waits}; last seen {last}"
        if lag > LAG_SECONDS:
            yield fail("relay's host", f"{found}; for {lag:.0f} s", "see the runbook relay-lags")
        elif not seen:
            yield note("relay's host", found, "if it was not removed or restored: see the runbook relay-host-silent")
        elif labels["direction"] == "pull" and age > SILENT_SECONDS:
            yield fail("relay's host", found, "does its relay run, and is the host up (runbook relay-host-silent)?")
        else:
            yield ok("relay's host", found)
