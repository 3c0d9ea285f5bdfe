"""The alarms of an evolution: what attempts say of a policy, and a planted collapse that rings."""

from lamarck.agent.evolution.generation import Generation
from lamarck.cli.evolve import alarmed
from lamarck.cli.evolving.alarms import rung, signs
from lamarck.config_gate import CollapseConfig
from lamarck.core import Step, Task, Trajectory


def attempt(actions, reward, entropies=()):
    steps = tuple(Step(index=n, observation="", action=one, entropies=entropies) for n, one in enumerate(actions))
    task = Task(id="t", goal="", environment="e")
    return Trajectory(id="x", run_id="r", task=task, steps=steps, stop="terminated", reward=reward)


def record(number, *, reward, solved, tried=None, entropy=1.0, most=0.2, decision="refuse", scores=(None, None)):
    """A generation whose candidate solves as many held-out games as the release in force, if nothing else is said."""
    old, new = ({"games": 200, "solved": n, "score": score} for n, score in zip((solved, tried), scores, strict=True))
    new["solved"] = solved if tried is None else tried
    return Generation(
        number=number, parent="p", head="h", candidate=f"c{number}", decision=decision, ended=True,
        figures={
            "collect": {"reward": reward, "entropy": entropy, "actions": {"n": 500, "different": 9.0, "most": most}},
            "gate": {"incumbent": old, "candidate": new},
        },
    )  # fmt: skip


def test_what_attempts_say_of_a_policy():
    found = signs([attempt(["go", "take"], 1.0, (0.5, 1.5)), attempt(["go", "go"], 0.0)])
    assert (found["reward"], found["entropy"]) == (0.5, 1.0)
    assert (found["actions"]["n"], found["actions"]["most"]) == (4, 0.75)


def test_nothing_was_measured_nothing_rings():
    assert signs([]) == {"reward": None, "entropy": None, "actions": {"n": 0, "different": 0.0, "most": 0.0}}
    assert rung([Generation(number=1, parent="p", head="h")], CollapseConfig()) == []


def test_reward_up_while_held_out_falls_rings():
    degenerate = [record(n, reward=0.2 + 0.1 * n, solved=160 - 22 * n) for n in range(1, 7)]
    healthy = [record(n, reward=0.2 + 0.1 * n, solved=60 + 15 * n) for n in range(1, 7)]
    assert [one.name for one in rung(degenerate, CollapseConfig())]
    assert rung(healthy, CollapseConfig()) == []


def test_candidates_that_fall_ring_though_the_gate_refuses_them():
    fallen = [record(n, reward=0.2 + 0.1 * n, solved=150, tried=0) for n in range(1, 7)]
    assert [one.name for one in rung(fallen, CollapseConfig())] == ["reward without candidates"]
    kept = [one.model_copy(update={"candidate": one.head}) for one in fallen]
    assert rung(kept, CollapseConfig()) == [], "nothing was learned, so nothing fell"
    level = [record(n, reward=0.5, solved=150, tried=0) for n in range(1, 7)]
    assert rung(level, CollapseConfig()) == [], "the reward tells of it"


def test_a_candidate_with_more_score_and_less_success_rings_at_once():
    hacked = record(1, reward=0.5, solved=120, tried=40, scores=(0.6, 0.8))
    assert [one.name for one in rung([hacked], CollapseConfig())] == ["reward against success"]
    honest = record(1, reward=0.5, solved=120, tried=40, scores=(0.6, 0.2))
    assert rung([honest], CollapseConfig()) == []


def test_one_action_for_everything_rings():
    assert rung([record(1, reward=0.5, solved=100, most=0.97)], CollapseConfig())


def test_an_alarm_may_end_the_evolution():
    quiet = record(1, reward=0.5, solved=100)
    loud = quiet.model_copy(update={"figures": {**quiet.figures, "settle": {"alarms": [{"name": "one answer"}]}}})
    assert alarmed((quiet, loud)) and not alarmed((loud, quiet)) and not alarmed(())
