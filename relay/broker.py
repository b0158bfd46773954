"""The broker: a connection to NATS JetStream, which is thrown away after every failure. Nothing else knows its client.

The client never connects again by itself: its own way keeps a wrong password or certificate from its caller, and gives
up for good after some errors. A new client recovers from all of them.
"""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error, NoRespondersError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy, StreamConfig
from nats.js.errors import APIError, NoStreamResponseError, NotFoundError

from common.errors import BadSettingError, RelayError
from common.settings import Settings
from relay.access import Access, read_access
from relay.stream_reader import FETCH_REQUEST, Reader, Stored

CONNECT_SECONDS: Final = 2.0
REQUEST_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 1.0

PING_SECONDS: Final = 2
"""A server that leaves two pings without an answer is left."""

_INACTIVE_SECONDS: Final = 30
"""How long the server keeps what read the stream after it is gone."""

_REASONS: Final = {
    # The two codes of a fence: of a stream with one copy, and of one with several.
    10071: "fenced",
    10164: "fenced",
    10023: "full",
    10047: "full",
    10077: "full",
    10059: "stream",
    10060: "stream",
}
_NO_MESSAGE: Final = 10037
_ODD: Final = (KeyError, TypeError, AttributeError)
"""What the client raises when what it reads has not the form that it expects."""

_DETAIL_LENGTH: Final = 300


class StreamState(NamedTuple):
    """Which stream it is, by the time when it was made, its last seq, and how it was made."""

    created: str
    last_seq: int
    config: Mapping[str, object] = {}


class Broker:
    """A connection; each method raises RelayError, and after one that is not ``fenced`` it is of no use any more."""

    def __init__(self, client: Client, stream: str) -> None:
        """Keep a client that is connected."""
        self._client = client
        self._js = client.jetstream(timeout=REQUEST_SECONDS)
        self._stream = stream
        self._denied = ""
        self._lost = asyncio.Event()

    async def note_error(self, error: Exception) -> None:
        """Keep what the server said without being asked: above all, that a right is missing."""
        if "permissions violation" in str(error).lower():
            self._denied = str(error)[:_DETAIL_LENGTH]

    def check(self) -> None:
        """Raise RelayError when a right is missing, or the connection was lost."""
        if self._denied:
            raise RelayError("access", self._denied)
        if self._client.is_closed:
            raise RelayError("unreachable", f"the connection was lost: {self._client.last_error or 'it was closed'}")

    async def note_lost(self) -> None:
        """Let ``wait_lost`` raise."""
        self._lost.set()

    async def wait_lost(self) -> None:
        """Wait until the connection is lost, and raise RelayError."""
        await self._lost.wait()
        self.check()

    async def find_last(self, subject: str) -> Stored | None:
        """Return the last message of a subject, None when there is none."""
        with self._errors("the last message"):
            try:
                found = await self._js.get_last_msg(self._stream, subject)
            except NotFoundError as error:
                if error.err_code == _NO_MESSAGE:
                    return None
                raise
        return Stored(found.seq or 0, subject, found.data or b"")

    async def publish(self, subject: str, body: bytes, last_seq: int) -> int:
        """Store a message if the last one of its subject has this seq (0: there is none), and return its own.

        Raises RelayError, ``fenced`` when another one is the last.
        """
        fence = {"Nats-Expected-Last-Subject-Sequence": str(last_seq)}
        with self._errors("publishing"):
            stored = await self._js.publish(subject, body, REQUEST_SECONDS, stream=self._stream, headers=fence)
        return stored.seq

    async def listen(self, subject: str, take: Callable[[bytes], None]) -> None:
        """Give ``take`` what is told on a subject, which no stream stores."""

        async def receive(message: Msg) -> None:
            take(message.data)

        with self._errors("listening"):
            await self._client.subscribe(subject, cb=receive)

    async def publish_unstored(self, subject: str, body: bytes) -> None:
        """Publish to who is subscribed now; no stream keeps it."""
        with self._errors("publishing"):
            await self._client.publish(subject, body)

    async def read_state(self) -> StreamState:
        """Read the state of the stream."""
        with self._errors("the stream's state"):
            found = await self._js.stream_info(self._stream)
            created = found.created.isoformat() if found.created else ""
            return StreamState(created, found.state.last_seq, vars(found.config))

    async def find_config(self) -> Mapping[str, object] | None:
        """Read how the stream was made, None when there is none."""
        with self._errors("the stream's settings"):
            try:
                found = await self._js.stream_info(self._stream)
            except NotFoundError:
                return None
        return vars(found.config)

    async def add_stream(self, config: Mapping[str, Any]) -> None:
        """Make the stream."""
        with self._errors("making the stream"):
            await self._js.add_stream(StreamConfig(name=self._stream, **config))

    async def read_from(self, seq: int) -> Reader:
        """Read the stream from a seq on, or from the first message after it that is still there."""
        inbox = self._client.new_inbox()
        name = inbox.rpartition(".")[2]

        async def ask() -> None:
            with self._errors("reading"):
                await self._client.publish(f"$JS.API.CONSUMER.MSG.NEXT.{self._stream}.{name}", FETCH_REQUEST, inbox)

        reader = Reader(seq, ask)
        config = ConsumerConfig(
            name=name,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=seq,
            ack_policy=AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=_INACTIVE_SECONDS,
        )
        with self._errors("reading"):
            await self._client.subscribe(inbox, cb=reader.take)
            await self._js.add_consumer(self._stream, config)
        return reader

    @contextlib.contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except (NoRespondersError, NoStreamResponseError) as error:
            raise RelayError("stream", f"{what}: no stream {self._stream} answers: {error}") from error
        except APIError as error:
            # Without a code nobody has answered.
            reason = _REASONS.get(error.err_code, "broker") if error.err_code else "stream"
            raise RelayError(reason, f"{what}: {error.description or 'no answer'} ({error.err_code})") from error
        except TimeoutError as error:
            # A right that is missing is told apart from the request, which then has no answer.
            self.check()
            raise RelayError("timeout", f"{what}: no answer in {REQUEST_SECONDS:.0f} s") from error
        except (Error, OSError, ValueError) as error:
            self.check()
            raise RelayError("unreachable", f"{what}: {str(error)[:_DETAIL_LENGTH]}") from error
        except _ODD as error:
            detail = f"{what}: an answer that is not one of JetStream: {error!r}"
            raise RelayError("broker", detail[:_DETAIL_LENGTH]) from error


@contextlib.asynccontextmanager
async def connect(settings: Settings, name: str) -> AsyncIterator[Broker]:
    """Connect to one of the servers while the block runs. Raises RelayError."""
    client = Client()
    broker = Broker(client, settings.relay_stream)
    try:
        # A client that did not begin to connect cannot be closed.
        access = read_access(settings, lambda: bool(client._server_info.get("tls_required")))  # noqa: SLF001 - it has no other name
    except BadSettingError as error:
        raise RelayError("access", error.detail) from error
    try:
        await _open(client, settings, name, broker, access)
        yield broker
    finally:
        with contextlib.suppress(Error, OSError, TimeoutError):
            await asyncio.wait_for(client.close(), CLOSE_SECONDS)


async def _open(client: Client, settings: Settings, name: str, broker: Broker, access: Access) -> None:
    reasons: list[Exception] = []

    async def note(error: Exception) -> None:
        reasons.append(error)
        await broker.note_error(error)

    try:
        client._public_nkey = access.public_key  # noqa: SLF001 - the client sets it with a package that has no wheel
        await client.connect(
            list(settings.relay_nats_url),
            name=name,
            error_cb=note,
            closed_cb=broker.note_lost,
            allow_reconnect=False,
            connect_timeout=int(CONNECT_SECONDS),
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            ping_interval=PING_SECONDS,
            max_outstanding_pings=2,
            pending_size=0,
            inbox_prefix=access.inbox,
            **access.options,
        )
        access.check_tls()
    except (Error, OSError, TimeoutError, ValueError, *_ODD) as error:
        found = next((each for each in reasons if isinstance(each, ssl.SSLError)), reasons[-1] if reasons else error)
        raise RelayError(_name(found), f"connecting: {str(found or error)[:_DETAIL_LENGTH]}") from error


def _name(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return "tls"
    return "access" if "authorization" in str(error).lower() else "unreachable"
