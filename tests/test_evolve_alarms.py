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


def record(number, *, reward, solved, entropy=1.0, most=0.2, decision="refuse"):
    side = {"games": 200, "solved": solved}
    return Generation(
        number=number, parent="p", head="h", decision=decision, ended=True,
        figures={
            "collect": {"reward": reward, "entropy": entropy, "actions": {"n": 500, "different": 9.0, "most": most}},
            "gate": {"incumbent": side, "candidate": {"games": 200, "solved": 0}},
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


def test_one_action_for_everything_rings():
    assert rung([record(1, reward=0.5, solved=100, most=0.97)], CollapseConfig())


def test_an_alarm_may_end_the_evolution():
    quiet = record(1, reward=0.5, solved=100)
    loud = quiet.model_copy(update={"figures": {**quiet.figures, "settle": {"alarms": [{"name": "one answer"}]}}})
    assert alarmed((quiet, loud)) and not alarmed((loud, quiet)) and not alarmed(())
