"""The threads that a model in this process runs in: each has processors of its own and keeps the prompts of its
episodes.

One pass over a small model's weights does not get faster on two processors, two passes beside each other do: with
SmolLM2-135M, two episodes in two threads of one processor each take as long as one episode on both.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from threading import Lock, Thread
from typing import Any

from .packed import PackedScorer

STARTING = Lock()
"""Held while a lane sets its threads: torch has one number for all threads to come, which it passes through."""


class Lane:
    """One thread, and the prompt caches of the episodes that are played in it.

    Args:
        number: of the lane, for its name.
        model: that all lanes share; a pass does not change it.
        sessions: episodes whose prompt cache is kept at once.
        threads: CPU threads of torch in this lane; None leaves them as they are.
    """

    def __init__(self, number: int, model: Any, sessions: int, threads: int | None) -> None:
        self.scorer = PackedScorer(model, sessions=sessions)
        self.calls = 0
        """Calls that wait or run."""
        self.executor = one_thread(f"lamarck-model-{number}", threads)


class Lanes:
    """All lanes of a model. An episode stays in the one it began in, where its prompt is kept.

    Args:
        model: a transformers causal model.
        at_once: episodes that are played beside each other; there are no more lanes than that.
        threads: CPU threads of torch over all lanes; None takes what torch would. See `shares`; on a GPU there is one
            lane, with all of them.
        sessions: episodes whose prompt cache is kept at once, in each lane.
    """

    def __init__(self, model: Any, *, at_once: int, threads: int | None, sessions: int) -> None:
        each: tuple[int | None, ...] = shares(at_once if model.device.type == "cpu" else 1, threads)
        if len(each) == 1:
            each = (threads,)
        self.lanes = [Lane(number, model, sessions, own) for number, own in enumerate(each)]
        self._most = sessions * len(each)
        self._places: OrderedDict[str, Lane] = OrderedDict()

    def of(self, session: str | None) -> Lane:
        """Return the lane of an episode; a new one goes where the fewest are, a question without one where the fewest
        calls wait."""
        if session is None:
            return min(self.lanes, key=lambda lane: lane.calls)
        if session not in self._places:
            taken = list(self._places.values())
            self._places[session] = min(self.lanes, key=taken.count)
            while len(self._places) > self._most:
                self._places.popitem(last=False)
        self._places.move_to_end(session)
        return self._places[session]

    def forget(self, session: str) -> None:
        """Drop an episode's prompt cache, in its lane's own thread."""
        lane = self._places.pop(session, None)
        if lane is not None:
            lane.executor.submit(lane.scorer.forget, session)

    def close(self) -> None:
        """End the threads."""
        for lane in self.lanes:
            lane.executor.shutdown(wait=True)


def shares(at_once: int, threads: int | None) -> tuple[int, ...]:
    """Return the CPU threads of each lane on a processor: as many for all of them, and at least one.

    What is left over stays idle: numbers differ a little by how many threads compute them, and which lane an episode
    falls into must not matter, neither where runs are compared task by task nor where one is gone on with.

    Args:
        at_once: episodes that are played beside each other; there are no more lanes than that.
        threads: over all lanes; None takes what torch would.
    """
    import torch

    total = max(1, threads if threads is not None else torch.get_num_threads())
    count = max(1, min(at_once, total))
    return (total // count,) * count


def one_thread(name: str, threads: int | None) -> ThreadPoolExecutor:
    """Return a thread in which torch uses so many CPU threads; None leaves them as they are."""
    executor = ThreadPoolExecutor(1, name)
    if threads is not None:
        with STARTING:
            executor.submit(_only, threads).result()
    return executor


def _only(threads: int) -> None:
    """Use so many CPU threads in this thread, and leave those of the others as they are."""
    import torch

    # Asked once, torch takes over the process's number for this thread; asked later, it would do so over ours.
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    # That was also told to all threads to come, training's among them. It is taken back from a thread that ends here.
    back = Thread(target=torch.set_num_threads, args=(before,))
    back.start()
    back.join()
