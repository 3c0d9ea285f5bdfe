"""Small text tasks for the tiny transformer, played by sampling from it, with exact log-probabilities on record."""

from __future__ import annotations

import random
from collections import defaultdict
from dataclasses import dataclass

import tiny_model
import torch
from lamarck.core import Step, Task, Trajectory, content_id

END = tiny_model.WORDS.index("<end>")
ID = {word: n for n, word in enumerate(tiny_model.WORDS)}


@dataclass(frozen=True)
class TwoSteps:
    """Open the door of the colour that was named, then go where the key is; what is seen second depends on the door.

    The prompt goes on from what was said before, so that an episode is one row.
    """

    name = "two_steps"
    length = 2
    grows = True
    contexts = tuple((colour, side) for colour in ("red", "blue") for side in ("left", "right"))
    answers = (("open red", "open blue"), ("left", "right"))

    def observe(self, context, said):
        colour, side = context
        if not said:
            return f"{colour} door"
        return f"door key {side}" if said[0] == f"open {colour}" else "door close"

    def right(self, context, t):
        return f"open {context[0]}" if t == 0 else context[1]

    def reward(self, context, said):
        return float(all(answer == self.right(context, t) for t, answer in enumerate(said)))


@dataclass(frozen=True)
class OneDecides:
    """Many answers, of which the one at step `at` decides; the others change nothing, and the end tells.

    Each prompt holds just what is seen, so that an answer is a row. Afterwards it can be seen how it was decided.
    """

    at: int = 2
    length: int = 12
    name = "one_decides"
    grows = False
    contexts = ("red", "blue")
    clock = ("look", "key", "left", "right")

    @property
    def answers(self):
        return (("open red", "open blue"),) * self.length

    def observe(self, context, said):
        t = len(said)
        if t == self.at:
            return f"{context} door"
        time = f"{self.clock[t // 4]} {self.clock[t % 4]}"
        if t < self.at:
            return time
        return f"{time} {'open' if said[self.at] == f'open {context}' else 'close'}"

    def right(self, context, t):
        return f"open {context}" if t == self.at else None

    def reward(self, context, said):
        return float(said[self.at] == self.right(context, self.at))


def ids(text):
    return tuple(ID[word] for word in text.split())


def play(net, task, seed, samples, contexts=None, version="v0"):
    """Return groups of attempts, one per context, each sampled from `net` at temperature 1."""
    draw = torch.Generator().manual_seed(seed)
    net.eval()
    runs = [(n, context) for n, context in enumerate(contexts or task.contexts) for _ in range(samples)]
    prompts, said, steps = [()] * len(runs), [()] * len(runs), [[] for _ in runs]
    for t in range(task.length):
        seen = [task.observe(context, before) for (_, context), before in zip(runs, said, strict=True)]
        prompts = [(before if task.grows else ()) + ids(text) for before, text in zip(prompts, seen, strict=True)]
        drawn = sample(net, prompts, draw, most=1 + max(len(ids(answer)) for answer in task.answers[t]))
        for run, (tokens, logprobs) in enumerate(drawn):
            text = " ".join(tiny_model.WORDS[token] for token in tokens if token != END)
            said[run] += (text,)
            steps[run].append(
                Step(
                    index=t, observation=seen[run], admissible=task.answers[t], completion=text, action=text,
                    prompt_token_ids=prompts[run], token_ids=tokens, logprobs=logprobs, segment=t,
                    policy_version=version,
                )
            )  # fmt: skip
            prompts[run] += tokens
    groups = defaultdict(list)
    for run, (n, context) in enumerate(runs):
        reward = task.reward(context, said[run])
        last = steps[run][-1].model_copy(update={"reward": reward, "terminated": True})
        groups[n].append(
            Trajectory(
                id=f"{version}-{seed}-{run}", run_id="small", stop="terminated", reward=reward, success=reward == 1.0,
                group_id=content_id(version, seed, n), steps=(*steps[run][:-1], last),
                task=Task(id=f"{task.name}-{n}", goal="", environment="small"),
            )
        )  # fmt: skip
    return list(groups.values())


def sample(net, prompts, draw, most):
    """Return, for each prompt, tokens up to the end token or `most` of them, and their log-probabilities."""
    out = [((), ()) for _ in prompts]
    for _ in range(most):
        lengths = defaultdict(list)
        for run, (tokens, _) in enumerate(out):
            if not tokens or tokens[-1] != END:
                lengths[len(prompts[run]) + len(tokens)].append(run)
        for same in lengths.values():
            batch = torch.tensor([prompts[run] + out[run][0] for run in same])
            with torch.no_grad():
                known = net(batch).logits[:, -1].log_softmax(-1)
            chosen = torch.multinomial(known.exp(), 1, generator=draw).squeeze(1).tolist()
            for row, (run, token) in enumerate(zip(same, chosen, strict=True)):
                tokens, logprobs = out[run]
                out[run] = ((*tokens, token), (*logprobs, known[row, token].item()))
    return out


def success(net, task, seed=10_000, samples=128):
    """Return the share of solved attempts."""
    played = [found.reward for group in play(net, task, seed, samples) for found in group]
    return sum(played) / len(played)


def novice(task, seed, updates=400, skill=0.3):
    """Return a model that imitated a teacher whose answer is right in a share `skill` of the steps, else any."""
    net = tiny_model.model(seed=seed)
    draw, optimizer = random.Random(seed), torch.optim.AdamW(net.parameters(), lr=1e-2, weight_decay=0.0)
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.02, updates)
    for _ in range(updates):
        rows = [_lesson(task, draw, skill) for _ in range(32)]
        width = max(len(tokens) for tokens, _ in rows)
        batch = torch.tensor([tokens + [0] * (width - len(tokens)) for tokens, _ in rows])
        labels = torch.tensor([known + [-100] * (width - len(known)) for _, known in rows])
        loss = net(input_ids=batch, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        slower.step()
    return net


def _lesson(task, draw, skill):
    """Return tokens and labels of an episode of the teacher's, or of one step of it where prompts are rebuilt."""
    context, said, tokens, labels = draw.choice(task.contexts), (), [], []
    until = task.length if task.grows else 1 + draw.choice([task.at, draw.randrange(task.length)])
    for t in range(until):
        seen, right = ids(task.observe(context, said)), task.right(context, t)
        answer = right if right and draw.random() < skill else draw.choice(task.answers[t])
        if not task.grows:
            tokens, labels = [], []
        tokens += [*seen, *ids(answer), END]
        labels += [*(-100 for _ in seen), *ids(answer), END]
        said += (answer,)
    return tokens, labels
