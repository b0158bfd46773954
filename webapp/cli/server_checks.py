"""What ``doctor`` asks the servers, besides sidecar and relay: web, Prometheus and Grafana."""

import errno
import socket
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urljoin

import click

from common.links import find_reachable
from common.settings import Settings, write_address
from webapp.cli.client import get
from webapp.cli.findings import START, Finding, Findings, fail, note, ok

CLOCK_SECONDS: Final = 2.0
"""How far the clocks may be apart; a trade may be 60 s ahead, and the delay is measured from clock to clock."""

DATASOURCE: Final = "trading-prometheus"
"""The uid to which the dashboards refer."""


def check_web(settings: Settings) -> Findings:
    """Check that the web process, or nothing, has its port."""
    url = f"http://{write_address(find_reachable(settings.webapp_http_host), settings.webapp_http_port)}/"
    if not is_taken(settings.webapp_http_host, settings.webapp_http_port):
        yield note("web", f"nothing listens at {url}", START)
        return
    answer = ask(url, "healthz")
    if isinstance(answer, str) or answer.get("status") != "alive":
        yield name_other("web", url, settings.webapp_http_port)
        return
    ready = ask(url, "readyz")
    if isinstance(ready, str):
        yield fail(
            "web", f"it runs at {url}, but accepts no trade: {ready}", f"see {url}readyz, and the check of the journal"
        )
    else:
        yield ok("web", f"it accepts trades at {url}")


def is_taken(host: str, port: int) -> bool:
    """Return whether something listens at the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False


def name_other(what: str, address: str, port: int) -> Finding:
    """Return that another program has the port."""
    return fail(what, f"another program listens at {address}", f"find and end it: ss -ltnp 'sport = :{port}'")


def check_prometheus(settings: Settings) -> Findings:
    """Check that Prometheus scrapes the sidecar, has the rules, tells somebody, and agrees on the time."""
    if not settings.prometheus_url:
        yield note("Prometheus", "PROMETHEUS_URL is empty", "set it, if there is one")
        return
    targets = ask(settings.prometheus_url, "api/v1/targets", state="active")
    if isinstance(targets, str):
        yield note("Prometheus", targets, "make infra-up, or set PROMETHEUS_URL")
        return
    ours = [each for each in targets["data"]["activeTargets"] if each["labels"].get("job") in {"sidecar", "relay"}]
    if "sidecar" not in {each["labels"]["job"] for each in ours}:
        yield fail("Prometheus", "it scrapes no sidecar", "make infra-up writes the target; see docs/infra.md")
    for each in ours:
        if each["health"] == "up":
            yield ok("Prometheus", f"it scrapes {each['scrapeUrl']}")
        else:
            found = f"it cannot scrape {each['scrapeUrl']}: {each['lastError'] or 'not tried yet'}"
            yield fail(
                "Prometheus", found, "address, token and ALLOWED_HOSTS: docs/infra.md; after a change make infra-up"
            )
    yield from _check_clock(settings.prometheus_url)
    yield from _check_alerts(settings.prometheus_url)


def _check_clock(url: str) -> Findings:
    before = time.time()
    answer = ask(url, "api/v1/query", query="time()")
    if isinstance(answer, str):
        return
    # Half of the time that the answer took is its way.
    apart = float(answer["data"]["result"][1]) - (before + time.time()) / 2
    found = f"Prometheus's is {abs(apart):.1f} s {'ahead' if apart > 0 else 'behind'}"
    if abs(apart) > CLOCK_SECONDS:
        yield fail("clock", found, "synchronise both hosts: timedatectl set-ntp true")
    else:
        yield ok("clock", found)


def _check_alerts(url: str) -> Findings:
    rules, senders = ask(url, "api/v1/rules", type="alert"), ask(url, "api/v1/alertmanagers")
    if isinstance(rules, str) or isinstance(senders, str):
        return
    names = {rule["name"] for group in rules["data"]["groups"] for rule in group["rules"]}
    if "SidecarDown" not in names:
        yield fail(
            "alerts", "Prometheus has not loaded the rules", "add infra/prometheus/rules/*.yml to its rule_files"
        )
    elif not senders["data"]["activeAlertmanagers"]:
        yield note("alerts", "nobody is told when one fires", "make infra-up ALERTS=1 (docs/infra.md, Alertmanager)")
    else:
        yield ok("alerts", f"sent to {senders['data']['activeAlertmanagers'][0]['url']}")


def check_grafana(settings: Settings) -> Findings:
    """Check that Grafana has the data source to which the dashboards refer."""
    if not settings.grafana_url:
        yield note("Grafana", "GRAFANA_URL is empty", "set it, if there is one")
        return
    answer = ask(settings.grafana_url, "api/frontend/settings")
    if isinstance(answer, str):
        yield note("Grafana", answer, "make infra-up, or set GRAFANA_URL")
        return
    uids = sorted(str(each.get("uid")) for each in answer.get("datasources", {}).values())
    if DATASOURCE in uids:
        yield ok("Grafana", f"it has the data source {DATASOURCE}")
    else:
        found = f"it has no data source with the uid {DATASOURCE}, only {', '.join(uids) or 'none'}"
        yield fail("Grafana", found, "provision infra/grafana/provisioning/datasources/prometheus.yml")


def ask(url: str, path: str, **query: str) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON object that a server answers, or in one sentence why there is none."""
    try:
        answer = get(urljoin(f"{url.rstrip('/')}/", path), **query).json()
    except click.ClickException as error:
        return f"no answer from {url}" if error.message.startswith("no answer") else error.message
    except ValueError:
        return f"{url} answers no JSON"
    return answer if isinstance(answer, Mapping) else f"{url} answers no object"
