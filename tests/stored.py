"""Attempts at small tasks, with the tiny model's token ids, in stores and files."""

import gzip

import tiny_model
from lamarck.core import Failure, Message, Step, Task, Trajectory
from lamarck.store import Store
from lamarck.training.base import Base

WEIGHTS = "a" * 12
ID = {word: n for n, word in enumerate(tiny_model.WORDS)}
CRASH = Failure(boundary="environment", kind="crash", message="gone")


def ids(text):
    return tuple(ID[word] for word in text.split())


def attempt(ident, *answers, task="t", run="r", rewards=(), split="train", version=WEIGHTS, failure=None, **fields):
    """Return an attempt whose prompts go on from what was said; its last step is rewarded where nothing else is said.

    `reward` and `success` follow from the rewards.
    """
    rewards = rewards or (0.0,) * (len(answers) - 1) + (fields.pop("won", 1.0),)
    prompt, steps = ids("red door"), []
    for n, (answer, reward) in enumerate(zip(answers, rewards, strict=True)):
        tokens = (*ids(answer), ID["<end>"])
        steps.append(
            Step(
                index=n, observation=f"door {n}", completion=answer, action=answer, reward=reward, model="tiny",
                prompt_token_ids=prompt, token_ids=tokens, logprobs=(-1.0,) * len(tokens), policy_version=version,
                messages=(Message(role="user", content="red door"),),
            )
        )  # fmt: skip
        prompt += (*tokens, *ids("look"))
    total = None if failure else sum(rewards)
    known = {
        "id": ident, "run_id": run, "task": Task(id=task, goal="", environment="e", split=split),
        "stop": "infrastructure" if failure else "terminated", "failure": failure,
        "reward": total, "success": None if failure else total > 0, "steps": tuple(steps), "group_id": f"{run}/{task}",
    }  # fmt: skip
    return Trajectory(**{**known, **fields})


def change(trajectory, at, **fields):
    """Return an attempt with another step at `at`."""
    steps = list(trajectory.steps)
    steps[at] = steps[at].model_copy(update=fields)
    return trajectory.model_copy(update={"steps": tuple(steps)})


def store(path, *attempts):
    """Write attempts to a store and return its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Store.open(path) as found:
        for one in attempts:
            found.finish(one)
    return str(path)


def damaged():
    """Return compressed lines of which the middle is spoilt."""
    whole = bytearray(gzip.compress(b"".join(b"%d %d\n" % (n, n * n) for n in range(5000))))
    whole[len(whole) // 2 : len(whole) // 2 + 40] = b"\xff" * 40
    return bytes(whole)


def base(**fields):
    """Return the tiny model as a base."""
    known = {
        "model": tiny_model.model(), "tokenizer": tiny_model.tokenizer(), "name": "tiny", "weights": WEIGHTS,
        "folder": None,
    }  # fmt: skip
    return Base(**{**known, **fields})
