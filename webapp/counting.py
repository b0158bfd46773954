"""What the sidecar knows of one trade: whether it is counted, when that was, and which request brought it."""

import http

import msgspec

from common.counting import CountedAnswer
from common.event import Event
from common.timestamps import is_in_calendar
from webapp.sidecar import SidecarClient

_decoder = msgspec.json.Decoder(CountedAnswer)


def ask_counted(sidecar: SidecarClient, event: Event) -> CountedAnswer | None:
    """Ask the sidecar for a trade; None when it gives no answer, or counts another journal."""
    answered = sidecar.get(f"/counted?seq={event.seq}")
    if answered is None or answered.status != http.HTTPStatus.OK:
        return None
    try:
        answer = _decoder.decode(answered.body)
    except msgspec.MsgspecError:
        # Another program may answer at its address.
        return None
    is_ours = answer.journal_id == event.journal_id
    return answer if is_ours and (answer.counted_at is None or is_in_calendar(answer.counted_at)) else None
