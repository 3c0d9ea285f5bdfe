"""How often verifiers were right in runs: read from what they said, and shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from rich.table import Table

from ..config import RunConfig
from ..core import Trajectory, Verdict
from ..judged import ENVIRONMENT, abstention
from ..rundir import RunDirectory
from ..store import Store
from .tables import console

if TYPE_CHECKING:
    from ..agent.verifiers.agreement import Agreement, Share
    from ..agent.verifiers.records import Verdicts


def agreements(
    runs: Sequence[tuple[RunDirectory, Verdicts]], config: RunConfig, only: str | None = None
) -> list[Agreement]:
    """Return the agreement of each verifier with the truth over all runs, ordered by name.

    Args:
        runs: the runs, each with the verdicts that were given of it afterwards.
        config: its `verify.trust` says how agreement is measured.
        only: the one verifier that is asked about; all of them if not given.

    Raises:
        LamarckError: a run cannot be read.
    """
    from ..agent.verifiers.tally import Tally

    trust = config.verify.trust
    tally = Tally(bins=trust.bins, recent=trust.recent, least=trust.least)
    for directory, verdicts in runs:
        for judge, verdict, trajectory in _verdicts(directory, verdicts):
            if only is None or judge == only:
                tally.hear(judge, verdict, trajectory)
    return tally.agreements()


def _verdicts(directory: RunDirectory, verdicts: Verdicts) -> Iterator[tuple[str, Verdict, Trajectory]]:
    """Yield who judged, what was said, and the attempt with its outcome; those of the loop and those given later.

    What was given later under the name of who judged in the loop replaces what that one had said.
    """
    from ..agent.verifiers.sealed import unsealing

    config = directory.load_config()
    with ExitStack() as stack:
        store = stack.enter_context(Store.open(directory.store_url(config), create=False))
        unseal = stack.enter_context(unsealing(directory.path))
        headers, later = {}, {by: read.records for by, read in verdicts.all()}
        for header in store.headers(run_id=directory.run_id, failed=False):
            one = unseal(header)
            headers[one.id] = one
            said = abstention(one) or one.verdict
            if said is None or (said is one.verdict and said.judge == ENVIRONMENT):
                continue
            if one.id not in later.get(said.judge, {}):
                yield said.judge, said, one
        for by, records in later.items():
            for ident, record in records.items():
                if ident in headers:
                    yield by, record.verdict, headers[ident]


def entry(found: Agreement) -> dict[str, Any]:
    """Return what --json prints of a verifier: its agreement, and the rewards that make up for its noise."""
    from ..agent.verifiers.agreement import reward_settings

    return {**found.as_dict(), "rewards": {how: reward_settings(found, how) for how in ("backward", "forward")}}


def show(found: Sequence[Agreement]) -> None:
    """Print a table of how often each verifier was right, and what its word is worth."""
    table = Table(title="agreement with ground truth", title_justify="left", title_style="bold")
    table.add_column("verifier", no_wrap=True)
    columns = ("verdicts", "could not judge", "right", "accepts wrong", "rejects right", "J", "Brier", "ECE", "weight")
    for column in columns:
        table.add_column(column, justify="right")
    for one in found:
        for row in _rows(one):
            table.add_row(*row)
    out = console()
    out.print(table)
    for one in found:
        # What a member's word would be worth alone is not what it counts for within the vote.
        more = " Members are measured beside it; their weights stay as they are set." if one.members else ""
        out.print(f"{one.judge}: {one.why}.{more}", markup=False, highlight=False)


def _rows(one: Agreement, depth: int = 0) -> Iterator[tuple[str, ...]]:
    """Yield the row of a verifier, and below it those of its members, which have no weight of their own here."""
    yield (
        *("  " * depth + one.judge, str(one.n), str(one.unjudged), _share(one.accuracy)),
        *(_share(one.accepts_wrong), _share(one.rejects_right)),
        *(_decimal(one.youden), _decimal(one.brier), _decimal(one.ece), "-" if depth else _decimal(one.weight)),
    )
    for member in one.members:
        yield from _rows(member, depth + 1)


def _share(share: Share) -> str:
    if share.value is None:
        return "-"
    return f"{100 * share.value:.1f} % [{100 * share.low:.1f}, {100 * share.high:.1f}] of {share.n}"


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
