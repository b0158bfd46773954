"""The errors of the product; each carries a ``reason`` that its caller counts, logs or answers with."""


class TelemetryError(Exception):
    """A failure with a short, countable ``reason`` and a sentence for people."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class BadSettingError(TelemetryError):
    """A setting that stops the start; names the variable, the value and what was expected."""

    def __init__(self, name: str, value: str | None, expected: str) -> None:
        given = "is not set" if value is None else f"is {value!r}"
        super().__init__("setting", f"{name} {given}; expected {expected}")


class JournalError(TelemetryError):
    """The journal cannot be read or written now; trying again later may help."""


class HubError(TelemetryError):
    """What a hub's journal does not take: trades that no host sent, or a batch that is not of a host."""


class RelayError(TelemetryError):
    """A host that cannot be read now, or whose trades a hub cannot take; it is asked again later."""


class KeyReusedError(TelemetryError):
    """A key that was used before with other fields; ``rows`` are the indexes of the trades with such keys."""

    def __init__(self, reason: str, detail: str, rows: tuple[int, ...] = ()) -> None:
        super().__init__(reason, detail)
        self.rows = rows


class KeyInFlightError(TelemetryError):
    """An idempotency key whose first request has not been answered yet; a later retry gets its answer."""


class CredentialError(TelemetryError):
    """A request without a valid credential, or one that this credential does not allow."""


class BadMessageError(TelemetryError):
    """A message that cannot be used, or a peer that was cut off; the caller counts it and goes on."""


class AddressError(TelemetryError):
    """An address that cannot be bound or connected to."""


class LockError(TelemetryError):
    """A file that cannot be locked, or that another process has locked."""


class SnapshotError(TelemetryError):
    """A snapshot that cannot be trusted; the caller sets it aside and replays the journal."""
