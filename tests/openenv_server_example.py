"""A tiny world written with the real openenv package; run by the Python that `.ci/openenv` prints.

A door opens to a number of three digits drawn from the seed, each told as `higher` or `lower`. It lists its tasks,
has a step limit of its own, and can be told to fail.
"""

import random
import socket
import sys

import uvicorn
from openenv.core.env_server.http_server import create_app
from openenv.core.env_server.interfaces import Environment
from openenv.core.env_server.types import Action, Observation, State
from pydantic import Field

LIMIT = 12


class Guess(Action):
    guess: str = Field(pattern=r"^\d{1,3}$", description="a number below 1000")
    loud: bool = False


class Told(Observation):
    hint: str = ""
    tries: int = 0
    valid_actions: list[str] = Field(default_factory=list)


class Door(Environment):
    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self):
        super().__init__()
        self.secret, self.tries, self.episode, self.fragile = 0, 0, None, False

    def reset(self, seed=None, episode_id=None, split="train", index=None, fragile=False, **kwargs):
        self.secret = random.Random(f"{split}/{index}/{seed}").randrange(1000)
        self.tries, self.episode, self.fragile = 0, episode_id, fragile
        hint = f"Which number opens the door? Its digits add up to {sum(map(int, str(self.secret)))}."
        return self.told(hint, metadata={"kwargs": sorted(kwargs)})

    def step(self, action, timeout_s=None, **kwargs):
        number = int(action.guess)
        if self.fragile and number == 13:
            raise RuntimeError("the door fell on the keeper")
        self.tries += 1
        opened, late = number == self.secret, self.tries >= LIMIT
        hint = "It opens." if opened else "higher" if number < self.secret else "lower"
        metadata = {"success": opened, "truncated": late and not opened} if opened or late else {}
        return self.told(hint, reward=float(opened), done=opened or late, metadata=metadata)

    def told(self, hint, **more):
        """Offer the secret among four others."""
        offered = sorted({str((self.secret + k * (self.tries + 7)) % 1000) for k in range(-2, 3)})
        return Told(hint=hint, tries=self.tries, valid_actions=offered, **more)

    @property
    def state(self):
        return State(episode_id=self.episode, step_count=self.tries)

    def list_splits(self):
        return ["train", "test"]

    def num_tasks(self, split):
        return {"train": 5, "test": 2}[split]

    def list_tasks(self, split):
        return [self.get_task(split, index) for index in range(self.num_tasks(split))]

    def get_task(self, split, index):
        return {"id": f"{split}-{index}", "goal": "open the door", "index": index}

    def get_task_range(self, split, start, stop):
        return self.list_tasks(split)[start:stop]


if __name__ == "__main__":
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    app = create_app(Door, Guess, Told, env_name="door", max_concurrent_envs=int(sys.argv[1]))
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])
