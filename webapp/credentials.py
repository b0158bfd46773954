"""Credentials as a worker sees them: the tokens and users of the journal, at most REFRESH_SECONDS old."""

import contextlib
import hmac
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from functools import partial
from typing import Final, Literal, NamedTuple

from common.credentials import HOOK, SCOPES, Token, User, hash_token, is_token
from common.errors import CredentialError, JournalError
from common.event import Trade, name_source
from common.journal.credentials import list_tokens, list_users, note_uses
from common.journal.keys import SERVER
from common.journal.store import Journal
from common.timestamps import format_timestamp, now
from webapp.concurrency import spawn
from webapp.reader import JournalReader

REFRESH_SECONDS: Final = 0.5
"""How long what was read is used: half of the second in which a change takes effect in every worker."""

USE_SECONDS: Final = 60.0
"""How often the journal is told that a token is in use."""


class Caller(NamedTuple):
    """Who sends a request: a token, or anyone while the server is open; and what it may do."""

    kind: Literal["anyone", "token"]
    id: int
    name: str
    scopes: frozenset[str]

    def attribute(self, trade: Trade) -> Trade:
        """Return a trade with its source: the one that it names, else the name of the token."""
        return name_source(trade, self.name) if self.kind == "token" and not trade.source else trade

    def own(self, sources: Collection[str]) -> str:
        """Return the owner of a key: the token, else the one source of its trades, else the server."""
        if self.kind == "token":
            return f"token:{self.id}"
        source = next(iter(sources)) if len(sources) == 1 else ""
        return f"source:{source}" if source else SERVER


ANYONE: Final = Caller("anyone", 0, "", frozenset(SCOPES))


class _Known(NamedTuple):
    tokens: dict[bytes, Token]
    users: dict[int, User]


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

    def identify(self, text: str | None) -> Caller:
        """Return who presents this token, or none. Raises CredentialError and JournalError."""
        is_open = self.is_open()
        if text is not None:
            try:
                caller = self.find_token(text)
            except CredentialError:
                if not is_open:
                    raise
            else:
                return caller._replace(scopes=ANYONE.scopes) if is_open else caller
        if not is_open:
            raise CredentialError(
                "no_credential", "This server is locked; expected the header Authorization: Bearer tt_…"
            )
        return ANYONE

    def find_token(self, text: str) -> Caller:
        """Return the caller with this token. Raises CredentialError and JournalError."""
        found = self._read().tokens.get(hash_token(text)) if is_token(text) else None
        # The hash was found by its value; compared again in constant time, it tells nothing that could be guessed from.
        if found is None or not hmac.compare_digest(found.hash, hash_token(text)):
            raise CredentialError("token_unknown", "The token is not one of this server, or not complete")
        end = found.find_end(format_timestamp(self._wall_clock()))
        if end is not None:
            raise CredentialError(f"token_{end}", f"The token {found.name} is {end}")
        self._note_use(found)
        return Caller("token", found.id, found.name, found.scopes)

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
    return _Known({token.hash: token for token in tokens}, {user.id: user for user in users})
