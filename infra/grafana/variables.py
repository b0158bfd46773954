"""The variables of the dashboards, and the queries of the job and the instance that are chosen by them."""

from collections.abc import Iterable
from itertools import starmap
from typing import Any, Final

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SOURCE = ('job=~"$job"', 'instance=~"$instance"')


def select(name: str, *more: str) -> str:
    """Return the selector of a metric on the chosen job and instance, with the matchers ``more``."""
    return f"{name}{{{', '.join((*_SOURCE, *more))}}}"


def rate(name: str, *more: str) -> str:
    """Return the rate per second of a counter over Grafana's rate interval."""
    return f"rate({select(name, *more)}[$__rate_interval])"


def quantile(share: float, name: str, *by: str) -> str:
    """Return a quantile of a histogram."""
    return f"histogram_quantile({share:g}, sum by ({', '.join(['le', *by])}) ({rate(f'{name}_bucket')}))"


def list_variables(source: str, choices: Iterable[tuple[str, str]]) -> list[dict[str, Any]]:
    """List the variables of a dashboard: data source, job and instance, of those with the metric ``source``.

    And its ``choices``, as (label, metric) pairs.
    """
    return [_choose_datasource(), *_choose_source(source), *starmap(_choose_label, choices)]


def _choose_datasource() -> dict[str, Any]:
    return {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "current": {"text": "Prometheus", "value": "trading-prometheus"},
    }


def _choose_source(source: str) -> list[dict[str, Any]]:
    return [
        _choose("job", f"label_values({source}, job)"),
        _choose("instance", f'label_values({source}{{job=~"$job"}}, instance)'),
    ]


def _choose_label(label: str, metric: str) -> dict[str, Any]:
    return _choose(label, f"label_values({select(metric)}, {label})")


def _choose(label: str, query: str) -> dict[str, Any]:
    return {
        "name": label,
        "label": label.title(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": query,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all"},
        "sort": 1,
    }
