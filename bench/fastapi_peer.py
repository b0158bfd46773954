"""The peer for accepting: FastAPI under uvicorn. ``DURABLE=1`` adds our journal, its group commits and our hints."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, Response
from pydantic import BaseModel, ConfigDict, Field

from common.errors import KeyReusedError
from common.event import Event, Trade
from common.journal.appending import KeyedTrade, Request
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from common.wire.messages import encode, encode_message
from common.wire.transport import Sender

COMMIT_LIMIT = 512

Amount = Annotated[Decimal, Field(gt=0, max_digits=38, decimal_places=18)]


class Posted(BaseModel):
    """A trade as it is sent."""

    model_config = ConfigDict(extra="forbid")

    symbol: Annotated[str, Field(min_length=1, max_length=64)]
    side: Literal["BUY", "SELL"]
    price: Amount
    qty: Amount
    ts: datetime | None = None

    def read(self) -> Trade:
        """Return it as a trade of the journal."""
        ts = format_timestamp(self.ts or now())
        return Trade(ts, self.symbol, self.side, f"{self.price:f}", f"{self.qty:f}")


class Writer:
    """One task that commits what is queued, as one transaction, in a thread; the loop goes on meanwhile."""

    def __init__(self) -> None:
        """Read the paths of the environment."""
        self._queue: asyncio.Queue[tuple[Request, asyncio.Future[Event]]] = asyncio.Queue()
        self._journal = Journal(Path(os.environ["JOURNAL_PATH"])).open()
        self._sender = Sender(os.environ["WEBAPP_ZMQ_ADDR"], self._journal.key_pair)

    async def accept(self, trade: Trade) -> Event:
        """Return the event of a trade once it is on disk."""
        future: asyncio.Future[Event] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((Request([KeyedTrade(trade)], format_timestamp(now())), future))
        return await future

    async def run(self) -> None:
        """Commit for ever."""
        while True:
            group = [await self._queue.get()]
            while len(group) < COMMIT_LIMIT and not self._queue.empty():
                group.append(self._queue.get_nowait())
            results = await asyncio.to_thread(self._journal.append, [request for request, _ in group])
            events: list[Event] = []
            for (_, future), result in zip(group, results, strict=True):
                if isinstance(result, KeyReusedError):
                    future.set_exception(result)
                else:
                    events += result.events
                    future.set_result(result.events[0])
            self._sender.send(encode_message(events, [""] * len(events)))


@asynccontextmanager
async def _run(app: FastAPI) -> AsyncIterator[None]:
    app.state.writer = None
    if os.environ.get("DURABLE") != "1":
        yield
        return
    app.state.writer = Writer()
    task = asyncio.create_task(app.state.writer.run())
    yield
    task.cancel()


app = FastAPI(lifespan=_run)


@app.post("/trade", status_code=201)
async def accept(posted: Posted) -> Response:
    """Accept one trade."""
    trade = posted.read()
    if app.state.writer is None:
        return Response(b'{"seq":1}\n', 201, media_type="application/json")
    event = await app.state.writer.accept(trade)
    return Response(encode(event) + b"\n", 201, media_type="application/json")
