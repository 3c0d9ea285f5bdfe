"""The loop with a learner that is a formula: graph and gate are the real ones, many generations take no time.

With real memory, tools, weights and releases: `test_evolution_known.py`.
"""

import asyncio

import pytest
from lamarck.agent.evolution.graph import EvolutionContext, evolve
from lamarck.evals.evolution_simulation import GAINS, PARTS, SimulatedPhases, optimum

ON = {"memory": "credit", "skills": "distil", "weights": "train"}


def run(phases: SimulatedPhases, generations: int = 8, parts=PARTS) -> SimulatedPhases:
    on = {ON[part] for part in parts} | {"gate"}
    asyncio.run(evolve(EvolutionContext(phases, generations, on)))
    return phases


@pytest.mark.parametrize("seed", range(3))
def test_the_loop_reaches_the_known_optimum(seed):
    phases = run(SimulatedPhases(seed))
    assert optimum() == pytest.approx(0.85)
    assert phases.head.ability == pytest.approx(optimum(), abs=0.03)
    abilities = [one.figures["settle"]["ability"] for one in phases.kept()]
    assert abilities == sorted(abilities)


@pytest.mark.parametrize("off", PARTS)
def test_a_part_that_is_switched_off_costs_what_it_would_have_given(off):
    parts = tuple(part for part in PARTS if part != off)
    whole, without = run(SimulatedPhases(5)), run(SimulatedPhases(5), parts=parts)
    assert whole.head.ability - without.head.ability == pytest.approx(GAINS[off], abs=0.03)


def test_nothing_learns_nothing_changes():
    phases = run(SimulatedPhases(0), parts=())
    assert {one.decision for one in phases.kept()} == {"unchanged"}
    assert phases.head.ability == pytest.approx(0.2)


@pytest.mark.parametrize(("harm", "check"), [("poison", "probes"), ("hack", "gain"), ("regression", "environments")])
@pytest.mark.parametrize("at", [1, 3])
def test_what_is_bad_is_refused_and_the_loop_goes_on(harm, check, at):
    phases = run(SimulatedPhases(7, harms={at: harm}))
    bad = phases.kept()[at - 1]
    assert bad.decision == "refuse"
    assert check in bad.figures["gate"]["failed"]
    assert not (phases.head.poisoned or phases.head.hacked or phases.head.forgets)
    assert phases.kept()[at].parent == bad.head
    assert phases.head.ability == pytest.approx(optimum(), abs=0.03)


def test_without_a_gate_the_bad_is_grown_from_only_where_asked_and_never_in_force():
    phases = SimulatedPhases(7, harms={2: "hack"})
    asyncio.run(evolve(EvolutionContext(phases, 4, {"credit", "distil", "train"})))
    assert phases.heads == phases.heads[:1]


def test_a_hacked_reward_looks_better_in_training_and_is_worse():
    phases = run(SimulatedPhases(7, harms={3: "hack"}))
    record = phases.kept()[2]
    before, after = (
        asyncio.run(phases.collect(record.model_copy(update={"number": 9, "parent": ident})))["solved"]
        for ident in (record.parent, record.candidate)
    )
    assert after > before
    [report] = [one for one in phases.reports if one.candidate == record.candidate]
    assert report.decision == "refuse" and report.check("gain").outcome == "fail"
