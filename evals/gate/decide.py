"""The gate: from evidence to a decision, closed by default."""

from __future__ import annotations

from collections.abc import Sequence

from ...config_gate import GateConfig
from ...core import content_id
from ...core_evolution import Check, Decision, GateReport
from ...errors import ConfigError
from .categories import categories
from .checks import gain, held_out, not_worse, outcomes, saving
from .environments import environments
from .evidence import Evidence
from .safety import probes
from .spending import Account, account


def decide(
    evidence: Evidence, config: GateConfig, spent: Sequence[GateReport], *, created_at: float = 0.0
) -> GateReport:
    """Decide on a candidate.

    It is promoted only if every check passes. One that fails refuses it. Otherwise something is unknown, and unknown
    never passes: not yet, with the episodes that would settle it. What is waived in the settings may stay unknown.

    All claims of one test (the gain, what was not lost, strict categories) are made at the same level, since all of
    them must be shown: a promotion is wrong only if one of them is, which has at most that chance (Berger 1982,
    Technometrics 24, 295-300). The same evidence and the same earlier reports give the same report, id and all.

    Args:
        evidence: see there.
        config: what is asked for.
        spent: all reports there are on this evolution, by which looks at the same tasks are accounted for.
        created_at: Unix time; not part of the id.

    Raises:
        ConfigError: by score, and scores lie outside of [0, 1]; or two environments have one name.
    """
    called = [place.name for place in (evidence.held_out, *evidence.others)]
    if twice := sorted({name for name in called if called.count(name) > 1}):
        raise ConfigError(f"two environments of a gate are called {twice[0]}.", hint="Give each a name of its own.")
    looked_at = evidence.looked_at(config.by)
    spend = account(
        spent,
        looked_at,
        candidate=evidence.candidate,
        incumbent=evidence.incumbent,
        claim=evidence.claim,
        alpha=config.alpha,
        errors=config.errors,
    )
    checks = _checks(evidence, config, spend)
    return GateReport.of(
        candidate=evidence.candidate,
        incumbent=evidence.incumbent,
        decision=(decision := _decision(checks, config)),
        checks=checks,
        further_episodes=_further(checks, config) if decision == "not_yet" else None,
        alpha=spend.alpha,
        test_number=spend.number,
        held_out=content_id(sorted(next(iter(looked_at.values())))),
        claim=evidence.claim,
        looked_at=looked_at,
        settings=config.model_dump(mode="json"),
        created_at=created_at,
    )


def _checks(evidence: Evidence, config: GateConfig, spend: Account) -> tuple[Check, ...]:
    found = outcomes(evidence.held_out, config)
    asked = {"gain": gain} if evidence.claim == "better" else {"not worse": not_worse, "saving": saving}
    asked["categories"] = categories
    if found.outcome == "pass":
        shown = [ask(evidence, config, spend) for ask in asked.values()]
    else:
        # Who is missing is not left to chance, so what the others show is not looked at.
        sentence = "Not looked at, since too many outcomes are missing."
        shown = [Check(name=name, outcome="unknown", sentence=sentence) for name in asked]
    return (found, held_out(evidence), *shown, environments(evidence, config, spend), probes(evidence, config))


def _decision(checks: Sequence[Check], config: GateConfig) -> Decision:
    if any(one.outcome == "fail" for one in checks):
        return "refuse"
    return "not_yet" if _unknown(checks, config) else "promote"


def _unknown(checks: Sequence[Check], config: GateConfig) -> list[Check]:
    return [one for one in checks if one.outcome == "unknown" and one.name not in config.waived]


def _further(checks: Sequence[Check], config: GateConfig) -> int | None:
    """Return the episodes that would settle what is open: held-out ones serve several checks, others one."""
    found: dict[str, int] = {}
    for one in _unknown(checks, config):
        more = one.figures.get("further_episodes")
        if isinstance(more, int):
            found[one.name] = more
    elsewhere = found.pop("environments", 0)
    return (max(found.values(), default=0) + elsewhere) or None
