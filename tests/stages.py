"""A tiny model in a folder, attempts of its own at a two-step task, and children that are killed while they train."""

import contextlib
import gc
import itertools
import os
import sys
import traceback

import small_task
import tiny_model
import torch
from lamarck.config_training import TrainConfig
from lamarck.core import Step, Task, Trajectory
from lamarck.training.base import load_base
from lamarck.training.sources import Sources
from lamarck.training.stage import train
from lamarck.weights import weights_id

TASK = small_task.TwoSteps()
SETTINGS = {
    "stores": ["walks"],
    "adapter.rank": 2,
    "optimizer.max_steps": 6,
    "optimizer.epochs": 3,
    "optimizer.learning_rate": 1e-2,
    "save_steps": 2,
    "report_to": [],
}


class Seen:
    """Remembers what it was told, and stops where it is told to: as interrupted, or because there is `enough`."""

    def __init__(self, stop_at=None, on_show=None, enough=False):
        self.said, self.shown, self._stop_at, self._on_show = [], [], stop_at, on_show
        self._enough = enough

    def say(self, text):
        self.said.append(text)

    def show(self, progress):
        self.shown.append(progress)
        if self._on_show is not None:
            self._on_show(progress)

    def stopping(self):
        return self._stop_at is not None and bool(self.shown) and self.shown[-1].step >= self._stop_at - 1

    def interrupted(self):
        return self.stopping() and not self._enough


@contextlib.contextmanager
def light():
    """Train on one thread, and let each trainer's collection of garbage skip what the libraries have loaded."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
        torch.set_num_threads(threads)


def model_folder(folder):
    """Save an untrained model, and return its folder."""
    tiny_model.model().save_pretrained(folder)
    tiny_model.tokenizer().save_pretrained(folder)
    return folder


def attempts(folder, tasks=TASK.contexts):
    """Return every attempt there can be, twice: a quarter solves its task. Log-probabilities are the model's own."""
    net, version, found = tiny_model.model(), weights_id(folder), []
    for context in tasks:
        for sample, said in enumerate([*itertools.product(*TASK.answers)] * 2):
            reward, steps, prompt = TASK.reward(context, said), [], ()
            for t, answer in enumerate(said):
                seen, tokens = TASK.observe(context, said[:t]), (*small_task.ids(answer), small_task.END)
                prompt = (*prompt, *small_task.ids(seen))
                steps.append(
                    Step(
                        index=t, observation=seen, completion=answer, action=answer, prompt_token_ids=prompt,
                        token_ids=tokens, logprobs=tuple(tiny_model.logprobs(net, prompt, tokens)),
                        policy_version=version, reward=reward * (t == 1), terminated=t == 1,
                    )
                )  # fmt: skip
                prompt = (*prompt, *tokens)
            name = "-".join(context)
            found.append(
                Trajectory(
                    id=f"{name}-{sample}", run_id="small", group_id=name, sample=sample, stop="terminated",
                    reward=reward, success=reward == 1.0, steps=tuple(steps), release_id="r" * 32,
                    task=Task(id=name, goal="", environment="small", split="train"),
                )
            )  # fmt: skip
    return tuple(found)


def sources(found):
    return Sources(tuple(found), {"not solved": 2}, ("small",), ("walks",))


def config(kind="sft", **settings):
    return TrainConfig.load(None, {**SETTINGS, "kind": kind, **settings})


def fit(folder, found, out, kind="sft", *, resume=False, watch=None, **settings):
    """Train one stage from the beginning, or go on."""
    wanted = config(kind, **settings)
    return train(wanted, sources(found), load_base(wanted, folder), out, resume=resume, watch=watch)


def in_child(function):
    """Run a function in a child that shares what is loaded, and return how it ended and what it printed."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 99
        try:
            os.close(reader)
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            code = function() or 0
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as stream:
        printed = stream.read()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), printed


def when_opened(ending, what):
    """Do something, once, as soon as this process opens a file with this ending for writing."""
    begun = []

    def look(event, arguments):
        if event == "open" and not begun and str(arguments[0]).endswith(ending) and "w" in str(arguments[1] or ""):
            begun.append(1)
            what()

    sys.addaudithook(look)
