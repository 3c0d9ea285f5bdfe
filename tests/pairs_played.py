"""Evidence for the tests of the gate: pairs of outcomes, told by counts."""

from figures import episode, samples
from lamarck.evals.figures.compare import Side
from lamarck.evals.figures.summary import infrastructure
from lamarck.evals.gate.evidence import Environment, Evidence, Probed, ProbeFigures

SAFE = (Probed("planted", ProbeFigures(0, 10), ProbeFigures(0, 10)),)


def place(name="world", *, tokens=(10, 10), planned=None, prefix="t", **categories):
    """Return an environment; each category is a text of one letter per task.

    w: only the candidate solved it; l: only the incumbent; b: both; n: neither; x: the candidate has no outcome.
    """
    before, after, names = [], [], {}
    for category, letters in categories.items():
        for index, letter in enumerate(letters):
            task = f"{category}/{prefix}{index}"
            names[task] = (f"{name}/{task}",)
            before.append(episode(task, category=category, success=letter in "lb", tokens=tokens[0]))
            failed = letter == "x"
            after.append(episode(task, category=category, success=letter in "wb", tokens=tokens[1], failed=failed))
    return environment(name, before, after, names, planned)


def environment(name, before, after, names, planned=None):
    """Return an environment made of these trajectories."""
    sides = []
    for who, episodes in (("incumbent", before), ("candidate", after)):
        made = samples(*episodes)
        sides.append(Side(who, tuple(made), infrastructure(made, planned or len(made))))
    return Environment(name, *sides, names)


def evidence(held_out, **fields):
    """Return evidence that lacks nothing, but for what is said."""
    given = {"incumbent": "old", "candidate": "new", "seen": {}, "probes": SAFE}
    return Evidence(held_out=held_out, **given | fields)
