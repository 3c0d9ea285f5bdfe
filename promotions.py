"""Which release is in force: an append-only log of promotions, and the reports of the gate that speak for them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

import sqlalchemy as sa

from .core_evolution import Decision, GateReport
from .errors import ConfigError, StoreError
from .store import Store
from .store_rows import insert_new
from .store_tables import GATE_REPORTS, PROMOTIONS

Action = Literal["begin", "promote", "force", "rollback"]


class Decided(NamedTuple):
    """A stored report, without what it rests on."""

    id: str
    candidate: str
    incumbent: str
    decision: Decision
    held_out: str
    created_at: float


class Promotion(NamedTuple):
    """One row of the log: from then on this release was the head."""

    number: int
    """From 1 on, without gaps."""
    release_id: str
    action: Action
    report_id: str | None
    before: str | None
    """The head until then."""
    reason: str
    at: float


class Promotions:
    """Reads and writes the log of one store.

    Args:
        store: where it is.
        clock: Unix time, for tests.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    def rows(self) -> list[Promotion]:
        """Return all rows, oldest first."""
        return [Promotion._make(row) for row in self._store.read(sa.select(PROMOTIONS).order_by(PROMOTIONS.c.number))]

    def append(
        self, release_id: str, action: Action, *, expect: str | None, report_id: str | None = None, reason: str = ""
    ) -> Promotion:
        """Make a release the head, if the head still is what the caller takes it for.

        Comparing and appending are one transaction: of two that expect the same head, one wins.

        Args:
            release_id: the new head.
            action: by what.
            expect: the head as the caller knows it, None where there is none.
            report_id: what speaks for it; a report is used once.
            reason: in words.

        Raises:
            StoreError: kind `conflict` where the head has moved, `used` where the report was used before.
        """

        def write(connection: sa.Connection) -> Promotion:
            newest = sa.select(PROMOTIONS).order_by(PROMOTIONS.c.number.desc()).limit(1)
            last = connection.execute(newest).one_or_none()
            head = last.release_id if last is not None else None
            if head != expect:
                raise self._moved(expect, head)
            if report_id is not None:
                query = sa.select(PROMOTIONS.c.number).where(PROMOTIONS.c.report_id == report_id)
                if (number := connection.execute(query).scalar()) is not None:
                    raise StoreError(
                        f"gate report {report_id[:12]} was used already, by promotion {number}.",
                        hint=HINT,
                        kind="used",
                    )
            number = (last.number if last is not None else 0) + 1
            made = Promotion(number, release_id, action, report_id, head, reason, round(self._clock(), 3))
            if not insert_new(connection, PROMOTIONS, made._asdict()):
                raise self._moved(expect, "another one")
            return made

        return self._store.write(f"the promotion of {release_id[:12]}", write)

    def _moved(self, expect: str | None, head: str | None) -> StoreError:
        was, now = (name[:12] if name is not None else "none" for name in (expect, head))
        return StoreError(
            f"the head of {self._store.place} was {was} and is {now} now; nothing was changed.",
            hint="Look at it with `lamarck release ls`, and ask again.",
            kind="conflict",
        )

    # Reports.

    def put_report(self, report: GateReport) -> None:
        """Store a gate's report; one that is there stays as it is.

        Raises:
            ConfigError: its id is not that of its content.
        """
        if report.hashed() != report.id:
            raise ConfigError(f"gate report {report.id[:12]!r} was changed: its content does not have the id it bears.")
        row = {name: getattr(report, name) for name in Decided._fields} | {"body": report.model_dump_json()}
        self._store.write(f"gate report {report.id}", lambda connection: insert_new(connection, GATE_REPORTS, row))

    def decided(self, candidate: str | None = None) -> list[Decided]:
        """Return what was decided, oldest first; only on one release where it is named."""
        query = sa.select(*(GATE_REPORTS.c[name] for name in Decided._fields))
        if candidate is not None:
            query = query.where(GATE_REPORTS.c.candidate == candidate)
        return [
            Decided._make(row) for row in self._store.read(query.order_by(GATE_REPORTS.c.created_at, GATE_REPORTS.c.id))
        ]

    def reports(self, candidate: str | None = None) -> list[GateReport]:
        """Return whole reports, oldest first; only on one release where it is named."""
        query = sa.select(GATE_REPORTS.c.body).order_by(GATE_REPORTS.c.created_at, GATE_REPORTS.c.id)
        if candidate is not None:
            query = query.where(GATE_REPORTS.c.candidate == candidate)
        return [GateReport.model_validate_json(body) for body in self._store.read(query).scalars()]


def heads(rows: Sequence[Promotion]) -> list[str]:
    """Return the releases that were in force one after the other, as if what was rolled back had never been.

    The last one is the head; the one before it is what a roll-back leads to.
    """
    found: list[str] = []
    for row in rows:
        if row.action == "rollback" and row.release_id in found:
            del found[found.index(row.release_id) + 1 :]
        else:
            found.append(row.release_id)
    return found


def licence(release: str, found: Sequence[Decided], rows: Sequence[Promotion]) -> Decided | Promotion:
    """Return the report by which a release may become the head now, or the row by which it did already.

    Args:
        release: id of the candidate.
        found: the reports on it that are asked about, the latest last.
        rows: of the log.

    Raises:
        ConfigError: there is no report, the latest says otherwise, or it compares with another head.
    """
    if not found:
        raise ConfigError(f"release {release[:12]} has no gate report.", hint=HINT)
    report, head = found[-1], rows[-1] if rows else None
    if head is not None and head.report_id == report.id:
        return head
    name = f"gate report {report.id[:12]} on release {release[:12]}"
    if report.decision != "promote":
        raise ConfigError(f"{name} says {report.decision}.", hint=HINT)
    before = head.release_id if head is not None else None
    used = any(row.report_id == report.id for row in rows)  # which the log says better
    if report.incumbent != before and not used:
        now = before[:12] if before is not None else "none"
        raise ConfigError(f"{name} compares it with {report.incumbent[:12]}, and the head is {now}.", hint=HINT)
    return report


HINT = "Let the gate weigh it against the head (`lamarck release gate`), or promote it with --force REASON."
