"""The positions, which the sidecar keeps: read over HTTP, and shared for a while."""

import http
from collections.abc import Mapping
from typing import Final, NamedTuple

import msgspec

from common.positions import PositionsAnswer
from webapp.sharing import share
from webapp.sidecar import SidecarAnswer, SidecarClient

CACHE_SECONDS: Final = 0.5
"""How long one answer is shared: every open desk asks for it after each trade."""

_decoder = msgspec.json.Decoder(PositionsAnswer)


class Unavailable(NamedTuple):
    """Why there are no positions, as a problem of ``webapp.reasons``."""

    status: int
    reason: str
    detail: str


class Found(NamedTuple):
    """The sidecar's answer, and its text."""

    answer: PositionsAnswer
    body: bytes


_OFF: Final = Unavailable(
    http.HTTPStatus.NOT_FOUND, "positions_off", 'Positions are not kept: the setting POSITIONS is "off".'
)
_NO_ANSWER: Final = "it gives no answer"


class Positions:
    """The positions as the sidecar last answered."""

    def __init__(self, sidecar: SidecarClient) -> None:
        """Keep whom to ask; nothing is asked yet."""
        self._sidecar = sidecar
        self.get = share(self._ask, CACHE_SECONDS, 1)

    def _ask(self) -> Found | Unavailable:
        """Return what the sidecar answers; a failure is returned too, so that it is shared as an answer is."""
        answered = self._sidecar.get("/positions")
        why = _NO_ANSWER if answered is None else f"it answers with status {answered.status}"
        try:
            if answered is not None and answered.status == http.HTTPStatus.OK:
                return Found(_decoder.decode(answered.body), answered.body)
            if answered is not None and _read_reason(answered) == _OFF.reason:
                return _OFF
        except msgspec.MsgspecError:
            # Another program may answer at its address.
            why = "what answers at its address is another program"
        detail = f"The sidecar keeps the positions, and {why}. Trades are still accepted, and counted when it is back."
        return Unavailable(http.HTTPStatus.SERVICE_UNAVAILABLE, "sidecar_unreachable", detail)


def _read_reason(answered: SidecarAnswer) -> object:
    problem: object = msgspec.json.decode(answered.body)
    return problem.get("reason") if isinstance(problem, Mapping) else None
