"""A sound little world and its broken siblings: each has one fault, and says which check is meant for it."""

import os
import random
import threading
import time
from typing import ClassVar

from lamarck.core import Task
from lamarck.errors import EnvironmentFailure

FAR = 5
THINGS = ("lamp", "rope", "coin", "bell")


class Cellar:
    """Rooms in a row with a thing in each; bring the wanted one to the door in room 0."""

    concurrency = "inline"
    max_steps = 14

    def reset(self, *, seed=None, task=None):
        chance = random.Random(f"{seed}/{task.options['layout']}")
        self.lying = [chance.sample(THINGS, 2) for _ in range(FAR)]
        self.wanted = chance.choice([thing for room in self.lying[1:] for thing in room])
        self.at, self.bag, self.steps = chance.randrange(FAR), [], 0
        return self.text(), self.info()

    def step(self, action):
        self.steps += 1
        if self.over(self.steps - 1):
            raise ValueError("the episode is over")
        understood = action in self.actions()
        if understood:
            self.move(action)
        won = self.won()
        text = self.text() if understood else "That is not possible."
        return text, float(won), won, not won and self.steps >= self.max_steps, self.info(effective=understood)

    def move(self, action):
        verb, _, thing = action.partition(" ")
        if verb == "go":
            self.at += {"deeper": 1, "back": -1}[thing]
        elif verb == "take":
            self.lying[self.at].remove(thing)
            self.bag.append(thing)
        elif verb == "drop":
            self.bag.remove(thing)
            self.lying[self.at].append(thing)

    def actions(self):
        ways = [way for way, there in (("go back", self.at > 0), ("go deeper", self.at < FAR - 1)) if there]
        takes = [f"take {thing}" for thing in dict.fromkeys(self.lying[self.at])]
        return [*ways, *takes, *(f"drop {thing}" for thing in dict.fromkeys(self.bag)), "wait"]

    def over(self, steps):
        return self.won() or steps >= self.max_steps

    def won(self):
        return self.at == 0 and self.wanted in self.bag

    def text(self):
        here = f"You are in room {self.at}, with {self.bag}; here: {self.lying[self.at]}."
        return f"Bring the {self.wanted} to room 0. {here}"

    def info(self, effective=True):
        return {
            "admissible_actions": self.actions(),
            "success": self.won(),
            "score": float(self.won()),
            "effective": effective,
        }

    def snapshot(self):
        return self.at, tuple(self.bag), tuple(map(tuple, self.lying)), self.wanted, self.steps

    def restore(self, state):
        self.at, self.wanted, self.steps = state[0], state[3], state[4]
        self.bag, self.lying = list(state[1]), [list(room) for room in state[2]]


class Cellars:
    """Tasks of a cellar, in two splits."""

    name = "cellars"

    def __init__(self, make=Cellar):
        self.make = make

    def splits(self):
        return ["train", "test"]

    def tasks(self, split, *, seed=0, limit=None):
        return [self.task(split, number) for number in range(12)][:limit]

    def task(self, split, number):
        options = {"layout": f"{split}/{number}"}
        return Task(id=f"cellars/{split}/{number}", goal="", environment=self.name, split=split, options=options)

    def environment(self):
        return self.make()

    def walkthrough(self, task):
        world = Cellar()
        world.reset(seed=task.seed, task=task)
        place = next(n for n, room in enumerate(world.lying) if n and world.wanted in room)
        there = ["go deeper" if place > world.at else "go back"] * abs(place - world.at)
        return [*there, f"take {world.wanted}", *["go back"] * place]


class ThreadedCellar(Cellar):
    concurrency = "thread"


class ProcessCellar(Cellar):
    concurrency = "process"
    recycle_after = 3


class AwaitedCellar(Cellar):
    concurrency = "async"

    async def reset(self, *, seed=None, task=None):
        return super().reset(seed=seed, task=task)

    async def step(self, action):
        return super().step(action)

    async def close(self):
        pass


# --- each with one fault; FAULTS says what must be found ------------------------------------------------------------


class UnseededStart(Cellar):
    def reset(self, *, seed=None, task=None):
        # Counted, not drawn: with chance, two tasks would look the same now and then.
        self.resets = getattr(self, "resets", 0) + 1
        return super().reset(seed=f"start {self.resets}", task=task)


class IgnoredTask(Cellar):
    def reset(self, *, seed=None, task=None):
        return super().reset(seed=seed, task=task.model_copy(update={"options": {"layout": "always this"}}))


class StaleReset(Cellar):
    def reset(self, *, seed=None, task=None):
        kept = getattr(self, "at", None)
        super().reset(seed=seed, task=task)
        self.at = self.at if kept is None else kept
        return self.text(), self.info()


class UnseededSteps(Cellar):
    def step(self, action):
        text, *rest = super().step(action)
        return f"{text} It is {random.random():.9f} degrees warm.", *rest


class HashOrder(Cellar):
    def actions(self):
        return list({f"{action} " for action in super().actions()})

    def move(self, action):
        super().move(action.strip())


class Counting(Cellar):
    """Counts episodes over all objects, and shows the count after the first step."""

    episodes: ClassVar[list[int]] = []

    def reset(self, *, seed=None, task=None):
        self.episodes.append(1)
        return super().reset(seed=seed, task=task)

    def step(self, action):
        text, *rest = super().step(action)
        return f"{text} This is day {len(self.episodes)}.", *rest


class SharedState(Cellar):
    """Keeps the room in a class attribute, which `reset` sets: only episodes at the same time meet in it."""

    room: ClassVar[list[int]] = [0]
    at = property(lambda self: self.room[0], lambda self, value: self.room.__setitem__(0, value))


class Endless(Cellar):
    def step(self, action):
        text, reward, terminated, _, info = super().step(action)
        return text, reward, terminated, False, info

    def over(self, steps):
        return False


class BothFlags(Cellar):
    def step(self, action):
        text, reward, terminated, truncated, info = super().step(action)
        return text, reward, terminated or truncated, terminated or truncated, info


class PaidTwice(Cellar):
    def over(self, steps):
        return False


class FalseSuccess(Cellar):
    def info(self, effective=True):
        return {**super().info(effective), "success": False}


class SharedSnapshot(Cellar):
    """Hands out its own lists, which play on."""

    def snapshot(self):
        return self.at, self.bag, self.lying, self.wanted, self.steps

    def restore(self, state):
        self.at, self.bag, self.lying, self.wanted, self.steps = state


class ForgetfulSnapshot(Cellar):
    def restore(self, state):
        bag = self.bag
        super().restore(state)
        self.bag = bag


class Raising(Cellar):
    def step(self, action):
        if action not in self.actions():
            raise KeyError(action)
        return super().step(action)


class Moved(Cellar):
    """Says that it did not understand, and yet goes to another room."""

    def step(self, action):
        if action not in self.actions():
            self.at = 0
        return super().step(action)


class Promising(Cellar):
    def info(self, effective=True):
        listed = super().info(effective)
        return {**listed, "admissible_actions": [*listed["admissible_actions"], "open the gate"]}


class Dying(Cellar):
    def step(self, action):
        if "\0" in action:
            os._exit(3)
        return super().step(action)


class Hanging(Cellar):
    def step(self, action):
        if len(action) > 1000:
            time.sleep(600)
        return super().step(action)


class LeakingThreads(Cellar):
    waiting: ClassVar[list[threading.Event]] = []

    def reset(self, *, seed=None, task=None):
        self.waiting.append(threading.Event())
        threading.Thread(target=self.waiting[-1].wait, daemon=True).start()
        return super().reset(seed=seed, task=task)


class LeakingFiles(Cellar):
    opened: ClassVar[list[int]] = []

    def reset(self, *, seed=None, task=None):
        self.opened.append(os.open(os.devnull, os.O_RDONLY))
        return super().reset(seed=seed, task=task)


class LeftOpen(LeakingFiles):
    """Opens one file an object, and does not close it."""

    def __init__(self):
        self.opened.append(os.open(os.devnull, os.O_RDONLY))

    def reset(self, *, seed=None, task=None):
        return Cellar.reset(self, seed=seed, task=task)


class LeakingMemory(Cellar):
    kept: ClassVar[list[bytes]] = []

    def reset(self, *, seed=None, task=None):
        self.kept.append(os.urandom(600_000))
        return super().reset(seed=seed, task=task)


class NoText(Cellar):
    def text(self):
        return {"room": self.at}


class UnstableIds(Cellars):
    """Numbers its tasks on and on."""

    def __init__(self):
        super().__init__()
        self.given = 0

    def task(self, split, number):
        self.given += 1
        return super().task(split, number).model_copy(update={"id": f"cellars/{self.given}"})


class HashedIds(Cellars):
    def task(self, split, number):
        return super().task(split, number).model_copy(update={"id": f"cellars/{hash((split, number))}"})


class SameSplits(Cellars):
    """Other ids, the same cellars."""

    def task(self, split, number):
        task = super().task(split, number)
        return task.model_copy(update={"options": {"layout": f"train/{number}"}})


class Never(Cellar):
    def reset(self, *, seed=None, task=None):
        raise EnvironmentFailure("the cellar is locked.")


def never():
    return Cellars(Never)


def dying():
    return Cellars(Dying)


def hanging():
    return Cellars(Hanging)


def hash_order():
    return Cellars(HashOrder)


def in_processes():
    return Cellars(ProcessCellar)


def unseeded():
    return Cellars(UnseededStart)


FAULTS = {
    UnseededStart: ("seeding", "the first observation is"),
    IgnoredTask: ("seeding", "does not read its task"),
    StaleReset: ("seeding", "when reset again in the same object"),
    UnseededSteps: ("determinism", "in the same object, after 1 steps, observation is"),
    Counting: ("determinism", "This is day"),
    SharedState: ("concurrency", "with 4 episodes at once"),
    Endless: ("termination", "max_steps is 14, and after 14 steps the episode goes on"),
    BothFlags: ("termination", "both set"),
    PaidTwice: ("termination", "after the end is neither refused nor without effect"),
    FalseSuccess: ("termination", "a score of 1 and without success"),
    SharedSnapshot: ("snapshot", "when it was restored"),
    ForgetfulSnapshot: ("snapshot", "when it was restored"),
    Raising: ("bad-actions", "step raised KeyError"),
    Moved: ("bad-actions", "is not effective, and changes the admissible actions"),
    Promising: ("admissible", "'open the gate' is listed as admissible and then not effective"),
    LeakingThreads: ("leak", "threads after"),
    LeakingFiles: ("leak", "open files after"),
    LeftOpen: ("leak", "objects were opened, played and closed"),
    LeakingMemory: ("leak", "memory grew by"),
    NoText: ("contract", "not text"),
}
"""Class to the one check that must fail, and words of what it says."""


def tidy():
    """Give back what the leaking worlds took."""
    for event in LeakingThreads.waiting:
        event.set()
    for number in LeakingFiles.opened:
        os.close(number)
    for kept in (LeakingThreads.waiting, LeakingFiles.opened, LeakingMemory.kept, Counting.episodes):
        kept.clear()
