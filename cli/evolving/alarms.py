"""Whether an evolution looks like collapsing: what its generations say of themselves, read by the gate's alarms."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from ...agent.evolution.generation import Figures, Generation
from ...config_gate import CollapseConfig
from ...core import Trajectory
from ...evals.gate import collapse_signs as says
from ...evals.gate.collapse import alarms


def signs(attempts: Sequence[Trajectory]) -> Figures:
    """Return what attempts say of a policy's health: mean reward, entropy per token, how different its actions are."""
    rewards = [one.reward for one in attempts if one.reward is not None]
    entropies = [value for one in attempts for step in one.steps for value in step.entropies]
    found = says.variety(step.action for one in attempts for step in one.steps if step.action is not None)
    return {
        "reward": fmean(rewards) if rewards else None,
        "entropy": fmean(entropies) if entropies else None,
        "actions": {"n": found.n, "different": found.different, "most": found.most},
    }


def rung(records: Sequence[Generation], config: CollapseConfig) -> list[says.Alarm]:
    """Return the alarms that ring after these generations."""
    return alarms([_read(one) for one in records], config)


def _read(record: Generation) -> says.Generation:
    played: dict[str, Any] = record.played
    gated: dict[str, Any] = record.figures.get("gate", {})
    held = gated.get("candidate" if record.decision == "promote" else "incumbent") or {}
    actions = played.get("actions")
    before, after = (_audited(gated.get("audit", {}).get(side)) for side in ("incumbent", "candidate"))
    return says.Generation(
        weighed=_weighed(record, gated),
        audited=(before, after) if before is not None and after is not None else None,
        reward=played.get("reward"),
        solved=held.get("solved"),
        held_out=held.get("games", 0),
        entropy=played.get("entropy"),
        variety=says.Variety(**actions) if actions else None,
    )


def _weighed(record: Generation, gated: dict[str, Any]) -> says.Weighed | None:
    """Return what the release in force and the candidate did on the same games; those of both are equally many."""
    old, new = gated.get("incumbent"), gated.get("candidate")
    if not old or not new or record.candidate is None or old["games"] != new["games"]:
        return None
    scores = old.get("score"), new.get("score")
    return says.Weighed(
        incumbent=record.head,
        candidate=record.candidate,
        games=old["games"],
        solved=(old["solved"], new["solved"]),
        score=scores if None not in scores else None,
    )


def _audited(found: dict[str, Any] | None) -> says.Audited | None:
    return says.Audited(**{name: found[name] for name in says.AUDITED}) if found and found["games"] else None
