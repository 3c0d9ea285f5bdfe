"""Little programs over one variable: of f, x and f(x) one is missing, and it is a line of code that fills it in.

The triples are made and run twice by the proposer of code; the assertions that a line must fulfil stand in the task,
so that running it judges it, and no label has to be read.
"""

import random

from label_free import Noise, network, pretrain, prompt_of, saved, settings, tokenizer
from lamarck.agent.proposers.likeness import plainly
from lamarck.agent.proposers.making import Made, Making
from lamarck.core import Origin, Task, content_id
from lamarck.evals.proposed.code_tasks import KINDS, triple_of
from lamarck.evals.proposed.code_triples import CodeMaker, Draft
from lamarck.evals.proposed.known import knowing
from lamarck.evals.proposed.taskset import write_tasks
from lamarck.evals.worlds.mbpp import Sandboxes

LARGEST = 18
CONSTANTS = range(1, 10)
WORDS = (
    *("<pad>", "<end>", "<unk>", "code", "assert", "lambda", "(", ")", ":", "==", "=", "f", "x", "y", "z", "+", "-"),
    *map(str, range(LARGEST + 1)),
)
MISTAKEN = {"deduction": Noise(0.25, 0.45), "abduction": Noise(0.25, 0.45), "induction": Noise(0.25, 0.4)}
"""Share of texts with any other line, and with the one mistake that is usual: the sign the wrong way round."""


def triples():
    """Return every task: kind, sign, constant and inputs, the first of which is asked about."""
    found = []
    for sign in "+-":
        for c in CONSTANTS:
            inputs = [x for x in range(10) if sign == "+" or x >= c] or [c]
            every = [x for x in range(LARGEST + 1) if 0 <= value(sign, x, c) <= LARGEST]
            found += [(kind, sign, c, x) for kind in ("deduction", "abduction") for x in inputs if x != c]
            found += [("induction", sign, c, x) for x in every if x < LARGEST // 2 + c]
    return found


def value(sign, x, c):
    """Return what the program returns."""
    return x + c if sign == "+" else x - c


def goal(triple):
    """Return the assertion with a hole."""
    kind, sign, c, x = triple
    if kind == "deduction":
        return f"assert (lambda x: x {sign} {c})({x}) == y"
    if kind == "abduction":
        return f"assert (lambda x: x {sign} {c})(z) == {value(sign, x, c)}"
    return f"assert f({x}) == {value(sign, x, c)}"


def lines(triple):
    """Return the lines that may be given, those that are right, and the usual mistake."""
    kind, sign, c, x = triple
    if kind == "induction":
        least = random.Random(str(triple)).randint(max(1, c - 2), c)
        every = [f"f = lambda x: x {s} {n}" for s in "+-" for n in range(least, least + 3)]
        return every, [f"f = lambda x: x {sign} {c}"], f"f = lambda x: x {'-' if sign == '+' else '+'} {c}"
    name, a = ("y", x) if kind == "deduction" else ("z", value(sign, x, c))
    wanted = value(sign, x, c) if kind == "deduction" else x
    every = [f"{name} = {one} {s} {other}" for s in "+-" for one in (a, c) for other in (a, c)]
    every = list(dict.fromkeys(every))
    right = [line for line in every if eval(line.partition("=")[2]) == wanted]
    does = sign if kind == "deduction" else "-" if sign == "+" else "+"
    return every, right, f"{name} = {a} {'-' if does == '+' else '+'} {c}"


def task(triple, split="train", by="held out"):
    """Return a triple as a task."""
    return Task(
        id=f"lines/{split}/{content_id(list(triple))[:12]}",
        goal=goal(triple),
        environment="label_free_code:Lines",
        options={"lines": lines(triple)[0]},
        split=split,
        category=triple[0],
        origin=Origin(kind="proposed", by=by),
        truth=lines(triple)[1],
    )


class Lines:
    """The taskset such tasks belong to; they are read from a file, so that it has none of its own."""

    name = "lines"

    def splits(self):
        return ("train", "test")

    def tasks(self, split, *, seed=0, limit=None):
        return []

    def environment(self):
        return Line()


class Line:
    """One line, and whether it is right. The options show what may be answered, and nothing of which is right."""

    concurrency = "inline"
    max_steps = 1

    def reset(self, *, seed=None, task=None):
        self.right = task.truth
        return task.goal, {"admissible_actions": task.options["lines"]}

    def step(self, action):
        right = action in self.right
        return "Right." if right else "Wrong.", float(right), True, False, {"success": right}


class LineMaker(CodeMaker):
    """Makes triples of one-line programs, run twice as all code triples are, and asks about them by assertions."""

    name = "lines"

    async def make(self, category, generator, examples):
        triple = generator.choice([one for one in triples() if one[0] == category])
        _, sign, c, x = triple
        program = f"def f(x):\n    return x {sign} {c}"
        others = generator.sample([n for n in range(40) if n != x], 5)
        found = await self.checked(category, Draft(program=program, inputs=list(map(str, (x, *others)))))
        if found.made is None:
            return found
        ran = triple_of(found.made.task.truth)
        assert (int(ran.inputs[0]), int(ran.outputs[0])) == (x, value(sign, x, c))
        made = task(triple, by=self.name)
        return found._replace(made=Made(made, plainly(made)))


def proposer(materials):
    """Return the proposer of such tasks."""
    return Making(LineMaker(Sandboxes("auto", False, 12.0), KINDS), knowing(materials))


def code_texts(train, seed):
    """Return what draws a task with a line that may be wrong."""
    draw = random.Random(f"texts/{seed}")

    def texts():
        triple = draw.choice(train)
        every, right, usual = lines(triple)
        noise, chance = MISTAKEN[triple[0]], draw.random()
        line = draw.choice(right)
        if chance < noise.slip:
            line = draw.choice(every)
        elif chance < noise.slip + noise.astray:
            line = usual
        return prompt_of(goal(triple), "code"), f"{line} <end>"

    return texts


def code_split(seed, held=100):
    """Return the triples that may be learned from, and those that are held out."""
    every = triples()
    random.Random(f"held out/{seed}").shuffle(every)
    return every[held:], every[:held]


def code_world(folder, seed=0, held=100, steps=350):
    """Write tasks, prompts and a pre-trained model into a folder, and return it."""
    train, rest = code_split(seed, held)
    write_tasks(folder / "tasks.jsonl", [task(one, "test") for one in rest] + [task(train[0])])
    words = tokenizer(WORDS)
    net = pretrain(network(len(words), seed), words, code_texts(train, seed), steps)
    return saved(folder, net, words, choice="code")


def code_settings(folder):
    """Return settings for such programs."""
    return settings(folder) | {
        "learn.temperature": 0.2,  # the mean over five tokens is scored, so this is about 1 of the model's own
        "propose.by": "label_free_code:proposer",
        "run.verify.by": "code",
        "run.solver.protocol": "choice",
        "train.optimizer.learning_rate": 0.01,
        "train.optimizer.max_steps": 200,
        "train.adapter.rank": 16,
    }
