"""Examples for the descriptions of routes: a trade as it is sent, and as it is accepted."""

from typing import Final

from common.event import Event

SENT: Final = {"symbol": "BTCUSDT", "side": "BUY", "price": "27123.45", "qty": "0.250", "source": "grid-bot"}

ACCEPTED: Final = Event(
    ts="2026-01-31T09:30:00.000000Z",
    symbol="BTCUSDT",
    side="BUY",
    price="27123.45",
    qty="0.250",
    source="grid-bot",
    seq=42,
    id="01a20884-7721-7d5a-b94e-15270408b091",
    journal_id="3ca5cddaa92c4bbcbaee84b5de2a6bb1",
    accepted_at="2026-01-31T09:30:00.031245Z",
)
