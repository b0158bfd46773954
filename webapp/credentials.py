"""Credentials as a worker sees them: the tokens and users of the journal, at most REFRESH_SECONDS old."""

import contextlib
import hmac
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal, NamedTuple

from common.credentials import HOOK, ROLES, SCOPES, SESSION, Token, User, hash_token, is_token
from common.errors import CredentialError, JournalError
from common.event import Trade, TradeColumns, name_source
from common.journal.credentials import end_sessions, list_tokens, list_users, note_uses
from common.journal.keys import SERVER
from common.journal.store import Journal
from common.passwords import NO_HASH
from common.timestamps import format_timestamp, now
from webapp.concurrency import spawn
from webapp.reader import JournalReader

REFRESH_SECONDS: Final = 0.5
"""How long what was read is used: half of the second in which a change takes effect in every worker."""

USE_SECONDS: Final = 60.0
"""How often the journal is told that a token is in use."""


IDLE_SECONDS: Final = 30 * 60.0
"""How long a session lasts without a request."""

SESSION_SECONDS: Final = 12 * 3600.0
"""How long a session lasts at most."""


class SignIn(NamedTuple):
    """What a session keeps: who, in which journal, and the times of the sign-in and of the last request, in seconds."""

    journal_id: str
    name: str
    version: int
    began_at: float
    seen_at: float


class Caller(NamedTuple):
    """Who sends a request: a token, a user, or anyone while the server is open; and what it may do."""

    kind: Literal["anyone", "token", "user"]
    id: int
    name: str
    scopes: frozenset[str]

    def attribute(self, trade: Trade) -> Trade:
        """Return a trade with its source: the one that it names, else the name of the token."""
        return name_source(trade, self.name) if self.kind == "token" and not trade.source else trade

    def attribute_all(self, trades: TradeColumns) -> TradeColumns:
        """Return trades with their sources, as ``attribute`` does each."""
        if self.kind != "token":
            return trades
        sources = [source or self.name for source in trades.columns["source"]]
        return TradeColumns((trades.columns | {"source": sources}).values())

    def own(self, sources: Collection[str]) -> str:
        """Return the owner of a key: the token, else the one source of its trades, else the server."""
        if self.kind == "token":
            return f"token:{self.id}"
        source = next(iter(sources)) if len(sources) == 1 else ""
        return f"source:{source}" if source else SERVER


ANYONE: Final = Caller("anyone", 0, "", frozenset({*SCOPES, SESSION}))


class _Known(NamedTuple):
    journal_id: str
    tokens: dict[bytes, Token]
    users: dict[str, User]


class Credentials:
    """Decides who a caller is; what it knows is read again when it is too old, by the first caller that finds it so."""

    def __init__(
        self,
        mode: str,
        reader: JournalReader,
        writer: JournalReader,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], datetime] = now,
    ) -> None:
        """Keep the mode, the setting AUTH, and two connections: a write waits for other writers, a read must not."""
        self._mode = mode
        self._reader = reader
        self._writer = writer
        self._clock = clock
        self._wall_clock = wall_clock
        self._lock = threading.Lock()
        self._known: _Known | None = None
        self._stale_at = 0.0
        self._noted: dict[int, float] = {}
        self._used: set[int] = set()

    def is_open(self) -> bool:
        """Return whether anyone may do everything. Raises JournalError."""
        if self._mode == "auto":
            # Rows are never deleted: with the first one it is locked for good.
            known = self._read()
            return not known.tokens and not known.users
        return self._mode == "off"

    def is_waiting(self) -> bool:
        """Return whether it is open only until the first token or user is made. Raises JournalError."""
        return self._mode == "auto" and self.is_open()

    def identify(self, text: str | None, sign_in: SignIn | None = None) -> Caller:
        """Return who presents this token, or else this session. Raises CredentialError and JournalError."""
        is_open = self.is_open()
        if text is not None:
            try:
                caller = self.find_token(text)
            except CredentialError:
                if not is_open:
                    raise
            else:
                return caller._replace(scopes=ANYONE.scopes) if is_open else caller
        if is_open:
            return ANYONE
        if sign_in is None:
            detail = "This server is locked; expected a header Authorization: Bearer tt_…, or a session"
            raise CredentialError("no_credential", detail)
        return self.find_user(sign_in)

    def find_token(self, text: str) -> Caller:
        """Return the caller with this token. Raises CredentialError and JournalError."""
        hashed = hash_token(text) if is_token(text) else b""
        found = self._read().tokens.get(hashed)
        # The hash was found by its value; compared again in constant time, it shows nothing to guess from.
        if found is None or not hmac.compare_digest(found.hash, hashed):
            raise CredentialError("token_unknown", "The token is not one of this server, or not complete")
        end = found.find_end(format_timestamp(self._wall_clock()))
        if end is not None:
            raise CredentialError(f"token_{end}", f"The token {found.name} is {end}")
        self._note_use(found)
        return Caller("token", found.id, found.name, found.scopes)

    def find_user(self, sign_in: SignIn) -> Caller:
        """Return the user of a session. Raises CredentialError and JournalError."""
        at = self._wall_clock().timestamp()
        user = self._read().users.get(sign_in.name)
        if user is None or user.session_version < sign_in.version:
            # It is newer than what this worker knows.
            self._stale_at = 0.0
            user = self._read().users.get(sign_in.name)
        is_active = user is not None and user.removed_at is None and user.session_version == sign_in.version
        is_recent = at - sign_in.seen_at < IDLE_SECONDS and at - sign_in.began_at < SESSION_SECONDS
        if user is None or not is_active or not is_recent or self._read().journal_id != sign_in.journal_id:
            raise CredentialError("session_ended", "The session has ended; sign in again")
        return Caller("user", user.id, user.name, ROLES[user.role])

    def sign_in(self, name: str, is_right: Callable[[str], bool]) -> SignIn | None:
        """Return a new session of the user whose password hash ``is_right``; None without one. Raises JournalError."""
        self._stale_at = 0.0
        known = self._read()
        user = known.users.get(name)
        active = user if user is not None and user.removed_at is None else None
        if not is_right(active.password_hash if active is not None else NO_HASH) or active is None:
            return None
        at = self._wall_clock().timestamp()
        return SignIn(known.journal_id, active.name, active.session_version, at, at)

    def sign_out(self, name: str) -> None:
        """End all sessions of a user. Raises JournalError."""
        self._writer.ask(partial(end_sessions, name=name))
        self._stale_at = 0.0

    def find_hook(self, text: str) -> Caller | None:
        """Return the caller with this token, None when it is none of a hook. Raises JournalError."""
        try:
            caller = self.find_token(text)
        except CredentialError:
            return None
        return caller if HOOK in caller.scopes else None

    def _read(self) -> _Known:
        known = self._known
        if known is None or self._clock() >= self._stale_at:
            known = self._refresh()
        return known

    def _refresh(self) -> _Known:
        with self._lock:
            began = self._clock()
            if self._known is not None and began < self._stale_at:
                return self._known
            try:
                self._known = self._reader.ask(_read_known)
            except JournalError:
                # A worker that cannot read the journal shows no trade and accepts none, so what it read last will do.
                if self._known is None:
                    raise
            self._stale_at = began + REFRESH_SECONDS
            return self._known

    def _note_use(self, token: Token) -> None:
        if self._clock() < self._noted.get(token.id, 0.0):
            return
        self._noted[token.id] = self._clock() + USE_SECONDS
        is_first = not self._used
        self._used.add(token.id)
        if is_first:
            spawn(self._write_uses)

    def _write_uses(self) -> None:
        """Write the uses noted until now in one transaction; when that fails, they are lost."""
        used, self._used = self._used, set()
        at = self._wall_clock()
        recently = format_timestamp(at - timedelta(seconds=USE_SECONDS))
        with contextlib.suppress(JournalError):
            self._writer.ask(partial(note_uses, ids=used, now=format_timestamp(at), unless_after=recently))


def _read_known(journal: Journal) -> _Known:
    tokens, users = list_tokens(journal), list_users(journal)
    return _Known(journal.journal_id, {token.hash: token for token in tokens}, {user.name: user for user in users})
