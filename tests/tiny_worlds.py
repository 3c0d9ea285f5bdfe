"""Worlds of one or two answers that a transformer of ten thousand weights learns in a moment, and evolutions there."""

import tiny_model

WORLDS = '''
from lamarck.core import Task


class Signs:
    """Red goes left, blue goes right, twice in a row."""

    name = "signs"

    def splits(self):
        return ("train", "test")

    def tasks(self, split, *, seed=0, limit=None):
        seeds = range(60) if split == "train" else range(1000, 1060)
        return [Task(id=f"{split}/{n}", goal="look", environment="signs", seed=n, split=split) for n in seeds][:limit]

    def environment(self):
        return Sign()


class Sign:
    concurrency = "inline"

    def reset(self, seed, task):
        self.signs = ["red" if task.seed >> bit & 1 else "blue" for bit in range(2)]
        self.at = 0
        return self.signs[0], self.info(False)

    def info(self, won):
        return {"admissible_actions": ["left", "right"], "success": won}

    def step(self, action):
        right = action == ("left" if self.signs[self.at] == "red" else "right")
        self.at += 1
        won = right and self.at == 2
        return ("key" if won else self.signs[1]), float(won), won or not right, False, self.info(won)


class Ways(Signs):
    """One way is always right."""

    name = "ways"

    def environment(self):
        return Way()


class Way(Sign):
    def reset(self, seed, task):
        return "red door", self.info(False)

    def step(self, action):
        won = action == "left"
        return "key" if won else "door", float(won), True, False, self.info(won)
'''
WEIGHTS = {
    "learn.memory": False,
    "learn.weights": True,
    "learn.temperature": 1.0,
    "held_out.split": "test",
    "run.taskset.name": "tiny_worlds_signs:Signs",
    "run.taskset.options": {},
    "run.solver.max_steps": 3,
    "run.solver.history": 1,
    "run.solver.summary": 0,
    "train.optimizer.threads": 1,
    "train.adapter.rank": 8,
    "train.report_to": [],
}


def world(folder):
    """Write the worlds and an untrained model into a folder to work in; return settings with the model."""
    (folder / "tiny_worlds_signs.py").write_text(WORLDS)
    net, words = tiny_model.model(), tiny_model.tokenizer()
    net.config.max_position_embeddings = 1024
    words.chat_template = "{% for m in messages %}{{ m.content }} <end> {% endfor %}"
    net.save_pretrained(folder / "tiny")
    words.save_pretrained(folder / "tiny")
    return WEIGHTS | {"run.model.name": f"embedded:{folder / 'tiny'}", "run.model.threads": 1}
