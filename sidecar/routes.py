"""The routes of the sidecar's HTTP: metrics, positions, what is known of a trade, health and a landing page."""

import http
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from common.hosts import HostRule
from common.serving import routes
from common.serving.answers import Answer, make_problem
from common.serving.routes import Check, FindLinks
from sidecar.exposition import write_openmetrics, write_text
from sidecar.landing import write_landing

_SEQ: Final = re.compile("seq=([0-9]{1,19})")
_OPENMETRICS: Final = "application/openmetrics-text"

_CHANGES_NAMES: Final = ("escaping=dots", "escaping=values")
"""The escapings that Prometheus 3 can ask for and that change our names: they double underscores."""


class Registries(NamedTuple):
    """The registry of each exposition; they differ for new series only (``sidecar/series_start.py``)."""

    text: CollectorRegistry
    openmetrics: CollectorRegistry

    def scrape(self, accept: str, names: Sequence[str]) -> tuple[bytes, str]:
        """Return the exposition that an Accept header asks for, and its content type."""
        encode, kind = choose_encoder(accept)
        is_openmetrics = kind.startswith(_OPENMETRICS)
        registry: Any = self.openmetrics if is_openmetrics else self.text
        asked = registry.restricted_registry(names) if names else registry
        if kind.endswith(_CHANGES_NAMES):
            return encode(asked), kind
        return (write_openmetrics if is_openmetrics else write_text)(asked.collect()), kind


class Routes(routes.Routes):
    """Answers requests from the registries, two health checks, the seqs that are counted, and the positions."""

    def __init__(  # noqa: PLR0913 - one per source
        self,
        rule: HostRule,
        registries: Registries,
        check_alive: Check,
        check_ready: Check,
        read_last_seq: Callable[[], int] = lambda: 0,
        *,
        read_positions: Callable[[], bytes | None] = lambda: None,
        find_counted: Callable[[int], bytes] = lambda _seq: b"",
        find_links: FindLinks = lambda _host: {},
        token: str | None = None,
    ) -> None:
        """Keep the sources of the answers, and the ``token`` that clients must send, None for an open sidecar."""
        super().__init__(
            rule,
            registries.scrape,
            check_alive,
            check_ready,
            write_landing=lambda host: write_landing(find_links(host)),
            pages={
                "/positions": lambda _query: _show_positions(read_positions()),
                "/counted": lambda query: _show_counted(find_counted, query),
            },
            describe=lambda: {"last_seq": read_last_seq()},
            token=token,
        )


def _show_positions(body: bytes | None) -> Answer:
    if body is None:
        detail = 'positions are not kept, since POSITIONS is "off"'
        # Not a rejection: the web process asks, to say so on its page.
        return replace(make_problem(http.HTTPStatus.NOT_FOUND, "positions_off", detail), reason="")
    return Answer(http.HTTPStatus.OK, "application/json", body)


def _show_counted(find_counted: Callable[[int], bytes], query: str) -> Answer:
    given = _SEQ.fullmatch(query)
    if given is None:
        return make_problem(http.HTTPStatus.BAD_REQUEST, "query", "expected the number of a trade, as in ?seq=42")
    return Answer(http.HTTPStatus.OK, "application/json", find_counted(int(given[1])))
