"""The web workers: the newest totals of each, and the sum of the retired ones. A pure function of the reports."""

from typing import Final

from msgspec import Struct, field

from common.errors import BadMessageError
from common.wire.worker_totals import WorkerTotals

ACTIVE_LIMIT: Final = 256
"""Workers whose newest totals are kept apart; past that the one silent longest is retired."""

RETIRED_LIMIT: Final = 512
"""Retired workers whose names are kept, so that their late messages are not counted again."""


class Workers(Struct):
    """Running totals: ``retired`` names the workers that are in ``retired_totals``.

    ``active`` is in the order of the last reports. Worker names begin with the time, so an unknown worker that is not
    newer than ``forgotten``, the newest name removed from ``retired``, may have been counted. ``retired_totals`` has an
    entry for each kind that any worker has reported.
    """

    retired_totals: WorkerTotals = field(default_factory=WorkerTotals)
    active: dict[str, WorkerTotals] = field(default_factory=dict)
    retired: list[str] = field(default_factory=list)
    forgotten: str = ""

    def update(self, totals: WorkerTotals) -> bool:
        """Replace the totals of a worker; return False when they are not newer.

        Raises BadMessageError when they may have been counted already: counting too little is better than twice.
        """
        if totals.worker in self.retired:
            return False
        known = self.active.get(totals.worker)
        if known is not None and totals.number <= known.number:
            return False
        if known is None and _begins_with_time(totals.worker) and totals.worker <= self.forgotten:
            raise BadMessageError("forgotten", f"worker {totals.worker} is as old as workers that are forgotten")
        totals.fold(into=self.retired_totals)
        self.active.pop(totals.worker, None)
        self.active[totals.worker] = totals
        if totals.ended:
            self._retire(totals.worker)
        elif len(self.active) > ACTIVE_LIMIT:
            self._retire(next(iter(self.active)))
        return True

    def _retire(self, worker: str) -> None:
        self.retired_totals.add(self.active.pop(worker))
        self.retired.append(worker)
        while len(self.retired) > RETIRED_LIMIT:
            oldest = self.retired.pop(0)
            if _begins_with_time(oldest):
                self.forgotten = max(self.forgotten, oldest)

    def find_fault(self) -> str | None:
        """Return what no worker can report, or None; a file may hold anything."""
        for worker, totals in self.active.items():
            if worker != totals.worker:
                return f"totals of worker {totals.worker!r} under the name {worker[:64]!r}"
            fault = totals.find_fault()
            if fault is not None:
                return f"totals of worker {worker!r}: {fault}"
        return None

    def sum_up(self) -> WorkerTotals:
        """Return the sum over all workers, active and retired."""
        total = WorkerTotals()
        for totals in (self.retired_totals, *self.active.values()):
            total.add(totals)
        return total


def _begins_with_time(worker: str) -> bool:
    # Names of release 0.1.0 are random: UUIDs of version 4, not 7.
    return worker[12:13] == "7"
