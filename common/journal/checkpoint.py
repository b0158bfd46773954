"""The journal's checkpoint: the totals of the trades that were pruned from it."""

import msgspec
from msgspec import Struct, field

from common.errors import JournalError
from common.journal.store import Journal
from common.tally import Count, Tally


class CheckpointSymbol(Struct):
    """The totals of the pruned trades of one symbol, by side."""

    tallies: dict[str, Tally]


class CheckpointTotals(Struct):
    """The part of the checkpoint that is read outside the sidecar, which writes more fields for its own use."""

    last_seq: Count = 0
    symbols: dict[str, CheckpointSymbol] = field(default_factory=dict)


def read_pruned(journal: Journal) -> CheckpointTotals:
    """Read the totals of the trades that were pruned from a journal, zero when none were. Raises JournalError."""
    checkpoint = journal.read_checkpoint()
    if checkpoint is None:
        return CheckpointTotals()
    try:
        return msgspec.json.decode(checkpoint, type=CheckpointTotals)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise JournalError("corrupt", f"journal {journal.path}: its checkpoint is damaged: {error}") from error
