"""Tiny models that are right now and then, and evolutions in which no label is read.

The tables of arithmetic are learned well before; how an answer is worked out and written down only from noisy texts.
None of the held-out questions stands in any of them.
"""

import functools
import random
from dataclasses import dataclass

import pytest
import tiny_model
import torch
from lamarck.agent.proposers.making import Made, Making
from lamarck.agent.verifiers.answers import final_answer
from lamarck.cli.evolve import run
from lamarck.cli.evolving.gating import HELD_OUT
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import PLAYED
from lamarck.config_evolve import EvolveConfig
from lamarck.core import Verdict
from lamarck.evals.figures.compare import Side, compare
from lamarck.evals.figures.played import Played
from lamarck.evals.figures.summary import infrastructure
from lamarck.evals.proposed.known import knowing
from lamarck.evals.proposed.sums import SIGNS, SumMaker, sum_task
from lamarck.evals.proposed.taskset import write_tasks
from lamarck.rundir import RunDirectory
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Sequence, Split, WhitespaceSplit
from transformers import PreTrainedTokenizerFast

LARGEST = 18
WORDS = (
    *("<pad>", "<end>", "<unk>", "<action>", "</action>", "sums", "What", "is", "?", "+", "-", "="),
    *map(str, range(LARGEST + 1)),
)
TEMPLATE = "{% for m in messages %}{{ m['content'] }} <end> {% endfor %}"


@dataclass(frozen=True)
class Noise:
    """What is wrong with the texts of one kind."""

    slip: float
    """Share of computations whose result is off by one or two."""
    astray: float
    """Share of answers that are a number of the question, and not the result."""


NOISE = {"plus": Noise(0.05, 0.6), "minus": Noise(0.05, 0.7)}


def problems(largest=LARGEST):
    """Return every sum of two numbers up to the largest: kind, numbers, result."""
    numbers = range(largest + 1)
    plus = [("plus", a, b, a + b) for a in numbers for b in numbers if a + b <= largest]
    return plus + [("minus", a, b, a - b) for a in numbers for b in numbers if a >= b]


def told(problem):
    """Return a sum as it is asked."""
    kind, a, b, _ = problem
    return f"{a} {SIGNS[kind]} {b}"


def transcript(problem, draw):
    """Return how a sum is worked out in a text that may be wrong."""
    kind, a, b, result = problem
    noise = NOISE[kind]
    if draw.random() < noise.slip:
        result = min(LARGEST, max(0, result + draw.choice((-2, -1, 1, 2))))
    answer = draw.choice((a, b)) if draw.random() < noise.astray else result
    return f"{told(problem)} = {result} <action> {answer} </action> <end>"


def tokenizer(words=WORDS):
    """Return a tokenizer of words, numbers, tags and single signs."""
    made = Tokenizer(WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    made.pre_tokenizer = Sequence([WhitespaceSplit(), Split(Regex(r"</?[a-z]+>|\w+|[^\w\s]"), "isolated")])
    found = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    found.chat_template = TEMPLATE
    return found


def network(size, seed, hidden=48, layers=2):
    """Return an untrained transformer of so many words."""
    return tiny_model.model(seed, hidden, layers, words=size, room=512)


def pretrain(net, words, texts, steps, rate=4e-3, batch=48):
    """Train a network on pairs of a prompt and what follows; only what follows counts.

    Args:
        net: the network.
        words: its tokenizer.
        texts: draws one pair.
        steps: updates.
    """
    plan = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=0.05)
    encoded = functools.cache(lambda text: words(text)["input_ids"])
    for step in range(steps):
        plan.param_groups[0]["lr"] = rate * min(1.0, (step + 1) / 20, 1.25 * (1 - step / steps) + 0.02)
        rows = [[encoded(part) for part in texts()] for _ in range(batch)]
        width = max(len(prompt) + len(rest) for prompt, rest in rows)
        ids = torch.tensor([(p + r) + [0] * (width - len(p) - len(r)) for p, r in rows])
        labels = torch.tensor([[-100] * len(p) + r + [-100] * (width - len(p) - len(r)) for p, r in rows])
        loss = net(input_ids=ids, attention_mask=(ids != 0).long(), labels=labels).loss
        plan.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        plan.step()
    return net.eval()


def prompt_of(goal, system="sums"):
    """Return the prompt of a question as the solver puts it."""
    return f"{system} <end> {goal} <end>"


def sums_texts(every, train, seed):
    """Return what draws texts: tables of every sum, and noisy transcripts of some."""
    draw = random.Random(f"texts/{seed}")

    def texts():
        if draw.random() < 0.4:
            problem = draw.choice(every)
            return "", f"{told(problem)} = {problem[3]} <end>"
        problem = draw.choice(train)
        return prompt_of(f"What is {told(problem)}?"), transcript(problem, draw)

    return texts


def sums_split(seed, held, largest=LARGEST):
    """Return the sums that may be learned from, and those that are held out."""
    every = problems(largest)
    random.Random(f"held out/{seed}").shuffle(every)
    return every[held:], every[:held]


def task(problem, split):
    """Return a sum as a task."""
    return sum_task(told(problem), str(problem[3]), problem[0], split)


def sums_world(folder, seed=0, held=100, steps=500, largest=LARGEST):
    """Write tasks, prompts and a pre-trained model into a folder, and return it."""
    train, rest = sums_split(seed, held, largest)
    write_tasks(folder / "tasks.jsonl", [task(one, "test") for one in rest] + [task(train[0], "train")])
    words = tokenizer()
    texts = sums_texts(problems(largest), train, seed)
    return saved(folder, pretrain(network(len(words), seed), words, texts, steps), words, text="sums")


def saved(folder, net, words, **systems):
    """Save a model, its tokenizer and what stands in its system prompts."""
    net.save_pretrained(folder / "tiny")
    words.save_pretrained(folder / "tiny")
    (folder / "prompts").mkdir()
    for protocol, said in systems.items():
        (folder / "prompts" / f"system_{protocol}.md").write_text(f"{said}\n")
    return folder


SETTINGS = {
    "learn.memory": False,
    "learn.by": "verdict",
    "learn.temperature": 1.0,
    "run.verify.withhold": True,
    "run.solver.protocol": "text",
    "run.solver.max_steps": 1,
    "run.model.max_tokens": 16,
    "run.model.threads": 1,
    "run.collect.samples": 4,
    "run.taskset.name": "lamarck.evals.proposed.taskset:ProposedTaskset",
    "held_out.split": "test",
    "propose.near": 1.0,
    "train.optimizer.learning_rate": 0.003,
    "train.optimizer.max_steps": 100,
    "train.optimizer.batch": 16,
    "train.optimizer.accumulate": 1,
    "train.optimizer.threads": 1,
    "train.adapter.rank": 8,
    "train.report_to": [],
}


def settings(folder):
    """Return settings of an evolution in such a folder."""
    return SETTINGS | {
        "run.model.name": f"embedded:{folder / 'tiny'}",
        "run.solver.prompts": str(folder / "prompts"),
        "run.taskset.options": {"data": str(folder / "tasks.jsonl")},
    }


def sums_settings(folder, largest=LARGEST):
    """Return settings for sums."""
    return settings(folder) | {
        "propose.by": "sums",
        "propose.options": {"largest": largest},
        "run.verify.by": "recompute",
    }


def evolved(folder, settings, home="home"):
    """Evolve in a folder; return the records."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            return run(EvolveConfig.load(None, settings), Home(folder / home), resume=False, quiet=True)
    finally:
        torch.set_num_threads(before)


def compared(home, first, second):
    """Return the paired comparison of two releases on all held-out tasks that both have played."""
    sides = []
    for name, ident in (("before", first), ("after", second)):
        samples = [
            sample
            for mark in sorted((home / "evaluations" / ident[:12]).glob(f"{HELD_OUT}-*/{PLAYED}"))
            for sample in Played.read(RunDirectory(mark.parent)).samples
        ]
        sides.append(Side(name, tuple(samples), infrastructure(samples, len(samples))))
    return compare(sides).pairs[0]


class Flatterer:
    """A verifier that pays for a degenerate answer: the first number of the question."""

    name = "flatterer"

    async def verify(self, trajectory):
        """Accept the first number."""
        first = trajectory.task.goal.split()[2]
        given = final_answer(trajectory)
        return Verdict(passed=given == first, score=float(given == first), confidence=0.9, judge=self.name)


class Zero:
    """A verifier that pays for the answer 0, whatever was asked."""

    name = "zero"

    async def verify(self, trajectory):
        """Accept nothing else."""
        given = final_answer(trajectory) == "0"
        return Verdict(passed=given, score=float(given), confidence=0.9, judge=self.name)


class Mislabelled(SumMaker):
    """Makes the same sums, and gives each a wrong answer as its truth."""

    def checked(self, category, draft):
        """Return the task with nonsense for a label."""
        found = super().checked(category, draft)
        if found.made is None:
            return found
        task = found.made.task.model_copy(update={"truth": "999"})
        return found._replace(made=Made(task, found.made.said, found.made.keep))


def mislabelled(materials, largest=LARGEST):
    """Return the proposer of sums whose labels are all wrong."""
    return Making(Mislabelled(largest=largest), knowing(materials))
