"""The web workers: what each has told of itself, and what the gone ones add up to. A pure fold, like the state."""

from collections.abc import Collection
from typing import Final

from msgspec import Struct, field

from common.errors import BadMessageError
from common.wire.worker_totals import WorkerTotals

ACTIVE_LIMIT: Final = 256
"""Workers whose newest facts are kept apart; past that the one that was silent longest counts as gone."""

RETIRED_LIMIT: Final = 512
"""Gone workers that are still told from new ones, so that a late message of theirs counts nothing."""


class Workers(Struct):
    """Running totals: ``retired`` names the workers that are in ``retired_totals``.

    ``active`` is in the order of their last reports. Names of workers begin with the time, so ``forgotten``, the last
    of those that ``retired`` no longer lists, shows whether an unknown one may have been counted. ``retired_totals``
    has a place for each kind that any worker has reported.
    """

    retired_totals: WorkerTotals = field(default_factory=WorkerTotals)
    active: dict[str, WorkerTotals] = field(default_factory=dict)
    retired: list[str] = field(default_factory=list)
    forgotten: str = ""

    def update(self, facts: WorkerTotals) -> bool:
        """Take the facts of a worker; False when they are no news.

        Raises BadMessageError when it is not known any more whether they were counted: rather too little than twice.
        """
        if facts.worker in self.retired:
            return False
        known = self.active.get(facts.worker)
        if known is not None and facts.number <= known.number:
            return False
        if known is None and _begins_with_time(facts.worker) and facts.worker <= self.forgotten:
            raise BadMessageError("forgotten", f"worker {facts.worker} is as old as workers that are forgotten")
        facts.fold(into=self.retired_totals)
        self.active.pop(facts.worker, None)
        self.active[facts.worker] = facts
        if facts.ended:
            self._retire(facts.worker)
        elif len(self.active) > ACTIVE_LIMIT:
            self._retire(next(iter(self.active)))
        return True

    def _retire(self, worker: str) -> None:
        self.retired_totals.add(self.active.pop(worker))
        self.retired.append(worker)

    def forget_retired(self, kept: Collection[str]) -> None:
        """Forget the names of all but the newest RETIRED_LIMIT gone workers, and of those in ``kept``."""
        old = self.retired[:-RETIRED_LIMIT]
        named = [worker for worker in old if worker not in kept and _begins_with_time(worker)]
        self.forgotten = max(self.forgotten, *named, "")
        self.retired = [worker for worker in old if worker in kept] + self.retired[-RETIRED_LIMIT:]

    def find_fault(self) -> str | None:
        """Find what no workers could have told, if anything: it was read from a file."""
        for worker, facts in self.active.items():
            if worker != facts.worker:
                return f"facts of worker {facts.worker!r} stand under the name {worker[:64]!r}"
            fault = facts.find_fault()
            if fault is not None:
                return f"facts of worker {worker!r}: {fault}"
        return None

    def sum_up(self) -> WorkerTotals:
        """Add up what all workers have ever done."""
        total = WorkerTotals()
        for facts in (self.retired_totals, *self.active.values()):
            total.add(facts)
        return total


def _begins_with_time(worker: str) -> bool:
    # Those of release 0.1.0 were random: UUIDs of version 4, not 7.
    return worker[12:13] == "7"
