"""Live training: collect attempts with the policy as it is, train on them, and again with what came of it.

The parts that play and train are handed in: this file knows rounds, what goes into each, and how to go on after a
kill. A phase that has ended is written down before the next begins, and a phase that is begun again finds what it had
made: the attempts of an interrupted round are resumed, an interrupted stage goes on from its checkpoint.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from ..config_training import TrainConfig
from ..core import Trajectory
from ..task_contents import EVALUATION
from .collate import Weighed
from .dynamic import Gathered, gather, nothing
from .live_parts import Collector, Draw, Known, LiveWatch, Stage
from .live_state import LiveState, Round
from .replay import ages, recent
from .replay_plan import mix
from .rows import Row
from .selection import informative, resampled
from .self_imitation import Kept, SelfImitation, replayed, warm_up
from .sources import grouped

BUFFER = "self_imitation.json"


@dataclass
class Live:
    """The rounds of one live run.

    Args:
        config: `live` says how many rounds and how large, `replay` what is replayed beside the fresh attempts.
        collector: plays.
        stage: trains.
        out: folder of the live run.
        stored: attempts to replay from, beside those of earlier rounds.
        watch: is told of each phase.
        followed: folders of runs whose attempts are followed instead of playing.
    """

    config: TrainConfig
    collector: Collector
    stage: Stage
    out: Path
    stored: Sequence[Trajectory] = ()
    watch: LiveWatch | None = None
    followed: Sequence[Path] = ()
    _past: list[Trajectory] = field(default_factory=list, init=False, repr=False)

    async def run(self) -> LiveState:
        """Do the rounds that are left, and return how all of them went.

        Raises:
            TrainingError: a round has nothing to learn from, or the state is damaged.
            LamarckError: what the parts raise. The state is then that of the last phase that ended.
        """
        state = LiveState.read(self.out)
        await self._remember(state)
        while state.number <= self.config.live.rounds:
            state = await self._round(state)
        self._tell(state, "finished")
        return state

    def played(self, state: LiveState) -> list[Trajectory]:
        """Return the attempts of all rounds that have ended, in the order in which they were asked for.

        Raises:
            LamarckError: what the collector raises where they are gone.
        """
        numbers = count()
        draws = (Draw(one.number, n, next(numbers)) for one in state.finished for n in range(one.asks))
        return [attempt for draw in draws for attempt in self.collector.load(draw)]

    async def _round(self, state: LiveState) -> LiveState:
        number, known = state.number, state.collected
        before = self._adapter(state)
        self._tell(state, f"round {number}: {'training' if known else 'collecting'}")
        began = time.monotonic()
        gathered = await self._gather(state, number, before, known)
        if known is None:
            known = _figures(number, gathered, self.stage.version(before), time.monotonic() - began)
            state = state.put(known)
            state.save(self.out)
            self._tell(state, f"round {number}: training")
        began = time.monotonic()
        await self.collector.rest()
        fresh = [one for group in gathered.groups for one in group]
        attempts = [*self.stored, *self._past, *fresh]
        start = str(before.resolve()) if before is not None else None
        settings = self.config.model_copy(update={"start": start, "seed": self.config.seed + number - 1})
        seen = ages(attempts, known.policy, state.parents())
        rows, known = self._rows(settings, gathered, known, seen)
        lived = Known(attempts, seen, self._folders())
        adapter = self.stage.train(settings, rows, lived, round_folder(self.out, number) / "train")
        place = adapter.resolve().relative_to(self.out.resolve()).as_posix()
        took = round(time.monotonic() - began, 3)
        state = state.put(known.model_copy(update={"adapter": place, "train_seconds": took}))
        state.save(self.out)
        self._past += fresh if self._again else []
        return state

    async def _gather(self, state: LiveState, number: int, adapter: Path | None, known: Round | None) -> Gathered:
        """Collect a round's attempts, or read them where the round was collected before."""
        begun = sum(one.asks for one in state.finished if one.number < number)

        async def ask(n: int) -> Sequence[Trajectory]:
            draw = Draw(number, n, begun + n)
            return self.collector.load(draw) if known is not None else await self.collector.collect(draw, adapter)

        most = self.config.live.asks if known is None else known.asks
        keep, seed = self.config.replay.resample, self.config.seed + number
        choose = None if keep is None else (lambda groups: resampled(groups, keep, seed))
        found = await gather(ask, self.config.live.tasks, most=most, choose=choose, rewards=self._rewards)
        if not found.enough:
            raise nothing(found, f"round {number}")
        return found

    def _folders(self) -> tuple[Path, ...]:
        """Return the folders of the runs that attempts come from: what their tasks' files hold is known there."""
        return (*self.followed, *(file.parent for file in sorted(self.out.glob(f"rounds/*/*/{EVALUATION}"))))

    def _rewards(self, attempts: Sequence[Trajectory]) -> Mapping[str, float]:
        return self.stage.rewards(self.config, attempts)

    def _rows(
        self, config: TrainConfig, gathered: Gathered, known: Round, seen: dict[str, int]
    ) -> tuple[list[Weighed], Round]:
        """Return what a round trains on: fresh rows, older ones beside them, and good attempts to be imitated."""
        number, weight = known.number, config.replay.self_imitation
        fresh = list(self.stage.settle(config, [one for group in gathered.groups for one in group]))
        known_before = [*self.stored, *self._past] if self._again else []
        groups = informative(grouped(known_before), self._rewards(known_before))
        past = [one for group in groups for one in group]
        older = list(self.stage.settle(config, past)) if past else []
        imitated: list[Weighed] = []
        if weight:
            share = warm_up(number, config.live.rounds)
            imitated = self._imitated(gathered, number, older, weight * share)
        again = {one.row.trajectory_id for one in imitated}
        # What is too old goes before the draw, so that the share of fresh rows is that of what is trained on.
        limit = config.replay.staleness
        others = [one for one in older if one.row.trajectory_id not in again and recent(one.row, seen, limit)]
        mixed = mix(fresh, others, config.live.fresh, config.seed + number)
        figures = {"fresh_rows": len(fresh), "replayed_rows": len(mixed) - len(fresh), "imitated_rows": len(imitated)}
        return [*mixed, *imitated], known.model_copy(update=figures)

    def _imitated(self, gathered: Gathered, number: int, older: list[Weighed], weight: float) -> list[Weighed]:
        """Replay the buffer as it stood before this round, then put this round's attempts in."""
        buffer = SelfImitation()
        if (before := round_folder(self.out, number - 1) / BUFFER).exists():
            buffer.load(before)
        known: dict[str, list[Row]] = {}
        for one in older:
            known.setdefault(one.row.trajectory_id, []).append(one.row)
        rows, _ = replayed(buffer.replay(number), known, weight)
        for group in gathered.groups:
            got = self._rewards(group)
            mean = sum(got.values()) / len(got)
            buffer.add([Kept(ident, total, total - mean, number) for ident, total in got.items()])
        folder = round_folder(self.out, number)
        folder.mkdir(parents=True, exist_ok=True)
        buffer.save(folder / BUFFER)
        return rows

    async def _remember(self, state: LiveState) -> None:
        """Read the attempts of earlier rounds, where they are needed again."""
        if self._again:
            for one in state.finished:
                found = await self._gather(state, one.number, None, one)
                self._past += [attempt for group in found.groups for attempt in group]

    def _adapter(self, state: LiveState) -> Path | None:
        if state.finished:
            return self.out / state.finished[-1].adapter
        return Path(self.config.start) if self.config.start is not None else None

    @property
    def _again(self) -> bool:
        """Whether attempts are trained on again in later rounds."""
        return self.config.live.fresh < 1.0 or self.config.replay.self_imitation > 0.0

    def _tell(self, state: LiveState, doing: str) -> None:
        if self.watch is not None:
            self.watch.live(state, doing, seconds_left(state, self.config.live.rounds))


def round_folder(out: Path, number: int) -> Path:
    """Return where a round keeps what it makes."""
    return out / "rounds" / f"{number:03d}"


def seconds_left(state: LiveState, rounds: int) -> float | None:
    """Return how long the rounds that are left take if they go on as before, or None where none has ended."""
    if not state.finished:
        return None
    each = sum(one.collect_seconds + one.train_seconds for one in state.finished) / len(state.finished)
    return each * max(0, rounds - len(state.finished))


def _figures(number: int, gathered: Gathered, policy: str, seconds: float) -> Round:
    known = [one for one in gathered.attempts if one.failure is None]
    return Round(
        number=number,
        asks=gathered.asked,
        attempts=len(known),
        failed=len(gathered.attempts) - len(known),
        solved=sum(bool(one.success) for one in known),
        groups=len(grouped(gathered.attempts)),
        informative=len(gathered.groups),
        tokens=sum(one.usage.tokens for one in gathered.attempts),
        collect_seconds=round(seconds, 3),
        policy=policy,
    )
