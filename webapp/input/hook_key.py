"""The keys of webhooks: tools send an alert again without a key, so one is made of what the alert says."""

import hashlib
import json
from datetime import datetime
from typing import Final

from common.journal.keys import Key
from common.timestamps import parse_timestamp
from webapp.input.hook_payload import ReadPayload

WINDOW_SECONDS: Final = 60
"""How far apart in time two alerts are the same one."""

_SLOT_SECONDS: Final = 5
"""A name of a key has the number of such a slot of time: two alerts count as one for up to this much longer."""


def make_keys(read: ReadPayload, said: bytes, owner: str, arrived: datetime) -> list[Key]:
    """Make the keys of an alert: its own one first, then those that it would have had up to WINDOW_SECONDS apart.

    An alert with an id is known by its id and its trade, at its own time if it has one, else at any time. Another one
    is known by all that it ``said``, at the time when it arrived.
    """
    at: datetime | None = arrived
    if read.id is not None:
        trade = read.trade
        said = json.dumps([read.id, trade.symbol, trade.side, trade.price, trade.qty]).encode()
        at = parse_timestamp(trade.ts) if "ts" in read.read_from else None
    digest = hashlib.sha256(said).digest()
    name = f"hook:{digest.hex()}"
    if at is None:
        return [Key(owner, name, digest)]
    slot, reach = int(at.timestamp()) // _SLOT_SECONDS, WINDOW_SECONDS // _SLOT_SECONDS
    slots = sorted(range(slot - reach, slot + reach + 1), key=lambda each: abs(each - slot))
    return [Key(owner, f"{name}:{each}", digest) for each in slots]
