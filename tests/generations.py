"""The folder of an evolution without having evolved: records written by hand, small releases, reports of the gate."""

from lamarck.agent.evolution.generation import Generation
from lamarck.cli.evolving.home import Home
from lamarck.config_evolve import EvolveConfig
from lamarck.core_evolution import Check, GateReport
from lamarck.evals.metrics import wilson
from lamarck.memory.items import make_item
from lamarck.memory.ledger import Ledger, text_id
from lamarck.memory.state import State
from lamarck.releases import Releases
from lamarck.store import Store
from released import draft

HOSTILE = '</script><script>window.evil = 1</script><img src=x onerror="window.evil=1">'
CHECKS = ("held-out", "gain", "categories", "probes")


def side(solved, games=100):
    low, high = wilson(solved, games)
    return {"games": games, "solved": solved, "interval": [round(low, 4), round(high, 4)]}


def figures(number, *, categories=("look", "heat", HOSTILE), entropy=1.0, alarms=()):
    return {
        "propose": {"tasks": 16, "categories": {name: 1 + (number + n) % 5 for n, name in enumerate(categories)}},
        "collect": {
            **{"attempts": 40, "solved": 10 + number % 20, "interval": list(wilson(10 + number % 20, 40)), "lost": 1},
            **{"tokens": 1000 * number, "cost_usd": 0.01, "reward": 0.1 + number / 1000, "entropy": entropy},
            "actions": {"n": 400, "different": 12.0, "most": 0.2},
        },
        "verify": {"accuracy": 0.9, "accepts_wrong": 0.05, "rejects_right": 0.125, "weight": 0.75, "why": "Measured."},
        "credit": {"attempts": 40, "items": 3},
        "distil": {
            **{"new": 3, "merged": 1, "retired": 2, "candidate": 2 * number, "active": number, "valued": number},
            **{"q_mean": 0.25, "q_spread": 0.125},
        },
        "train": {"evidence": 20, "adapter": "ad" * 16, "rows": 80, "loss_first": 2.0, "loss_last": 1.5},
        "settle": {"head": "", "alarms": [{"name": name, "sentence": why, "figures": {}} for name, why in alarms]},
    }


def record(number, parent, head, candidate, decision, *, before=40, after=60, report=None, skipped=None, **more):
    found = figures(number, **more)
    if decision in ("promote", "refuse", "not_yet"):
        found["gate"] = {
            "decision": decision, "said": f"{decision} it.", "incumbent": side(before), "candidate": side(after),
        }  # fmt: skip
    return Generation(
        number=number, parent=parent, head=head, candidate=candidate, decision=decision, ended=decision is not None,
        report=report, figures=found, skipped=skipped or {},
        seconds={"propose": 0.5, "collect": 120.0, "train": 60.0, "gate": 20.0},
    )  # fmt: skip


def judged(candidate, incumbent, decision, number):
    last = {"promote": "pass", "refuse": "fail", "not_yet": "unknown"}[decision]
    checks = [Check(name=name, outcome="pass", sentence=f"{name} is as it should be.") for name in CHECKS]
    checks[1] = Check(name="gain", outcome=last, sentence=f"By 7 of 100 in generation {number}. {HOSTILE}")
    return GateReport.of(
        candidate=candidate, incumbent=incumbent, decision=decision, alpha=0.03, test_number=number, held_out="h" * 32,
        checks=tuple(checks), created_at=float(number),
    )  # fmt: skip


def remember(folder, number):
    """Write a memory with an item that was left out by lot, one that was not, and a hostile skill; more with time."""
    folder.mkdir(parents=True)
    rows = [
        ("episode", "look at the pan", "Switch on the lamp first.", State(
            "episode", "active", q_value=0.5, rewards=9, successes=7, retrievals=11, kept=8, kept_sum=6.0, left_out=8,
            left_out_sum=-2.0)),
        ("episode", "heat the egg", "Open the microwave.", State("episode", q_value=-0.25, rewards=4, retrievals=4)),
        ("skill", f"anything {HOSTILE}", f"Do it. {HOSTILE}", State("skill", q_value=0.1 * number, rewards=number)),
        ("episode", "gone", "Was useless.", State("episode", "retired", q_value=-1.0, rewards=5)),
        *(("principle", f"rule {n}", f"Principle {n}.", State("principle")) for n in range(number)),
    ]  # fmt: skip
    with Store.open(folder / "store.db") as store:
        made = [(make_item(kind, applies, content), state) for kind, applies, content, state in rows]
        Ledger(store, lambda: 100.0).add(made, {text_id(one.applies): bytes(8) for one, _ in made}, "words")
    return folder


def home(path, plan, *, memory=True, **more):
    """Make the folder of an evolution.

    Args:
        path: of the folder.
        plan: decision of each generation; None goes on.
        memory: whether candidates have one.
        more: figures of all records.
    """
    config = {"run.taskset.name": "household", "generations": len(plan) + 2, "run.model.name": "follower"}
    found = Home(path)
    found.create(EvolveConfig.load(None, config), resume=False)
    clock = iter(range(10_000))
    with Releases.open(path, create=True, clock=lambda: float(next(clock))) as releases:
        head = releases.put(draft())
        releases.begin(head.id)
        for number, decision in enumerate(plan, 1):
            folder = remember(path / "made" / str(number), number) if memory else None
            made = None
            report = None
            if decision is not None:
                made = releases.put(draft(memory=folder, parent=head.id, prompt=f"Say {number}."))
                if decision in ("promote", "refuse", "not_yet"):
                    report = judged(made.id, head.id, decision, number)
                    releases.put_report(report)
            more |= {"before": 30 + number % 10, "after": 40 + number % 10, "report": report.id if report else None}
            found.keep(record(number, head.id, head.id, made.id if made else None, decision, **more))
            if decision == "promote":
                releases.promote(made.id, report.id)
                head = made
    return found
