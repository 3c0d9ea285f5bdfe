"""The rounds of `lamarck train live`: what plays, what trains, and the server that outlives a round."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from ..config import RunConfig
from ..config_training import TrainConfig
from ..core import content_id
from ..errors import ConfigError
from ..training.live_state import LiveState
from ..training.output import TrainDirectory
from ..whole import write_whole
from .train_fit import base_folder
from .train_watch import TrainWatch

if TYPE_CHECKING:
    from ..agent.vllm import VllmLLM
    from ..training.live import Live

RUN, EXPERTS = "collect.toml", "experts.json"
"""How the attempts of a live run are played, and whom they follow."""


def followed_before(out: Path) -> list[Path]:
    """Return the experts that a run which is resumed follows."""
    return [Path(place) for place in _experts(out).get("runs", [])]


def _experts(out: Path) -> dict[str, Any]:
    """Return the places of the experts a live run was begun with, and the id of their attempts.

    Raises:
        ConfigError: the file is damaged.
    """
    try:
        found = json.loads((out / EXPERTS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"{out / EXPERTS} cannot be read.", hint="Start anew in another --out.") from error
    found = found if isinstance(found, dict) else {"runs": found}
    if not isinstance(found.get("runs"), list) or not all(isinstance(place, str) for place in found["runs"]):
        raise ConfigError(f"{out / EXPERTS} names no experts.", hint="Start anew in another --out.")
    return found


def _same_experts(out: Path, ident: str) -> None:
    """Make sure that a resumed run follows the attempts it has followed: they are taken slice by slice.

    Raises:
        ConfigError: they are others.
    """
    before = _experts(out)
    if before.get("attempts", ident) != ident:
        raise ConfigError(
            f"cannot resume {out}: the attempts to follow are others than at its start"
            + (f", when they were those of {', '.join(before['runs'])}." if before["runs"] else ", when none were."),
            hint="Leave out --expert to go on as before, or start anew in another --out.",
        )


class Told:
    """Prints one line per phase.

    Args:
        rounds: how many there are.
        quiet: print nothing.
    """

    def __init__(self, rounds: int, quiet: bool) -> None:
        self._console = Console(stderr=True, highlight=False, soft_wrap=True, quiet=quiet)
        self._rounds = rounds

    def live(self, state: LiveState, doing: str, seconds_left: float | None) -> None:
        """Print where the rounds stand."""
        parts = [f"{doing} ({len(state.finished)} of {self._rounds} rounds finished)"]
        if state.rounds:
            last = state.rounds[-1]
            parts.append(f"{last.solved}/{last.attempts} solved in round {last.number}")
            parts.append(f"{sum(one.tokens for one in state.rounds):,} tokens so far")
        if seconds_left is not None and doing != "finished":
            parts.append(f"about {seconds_left:.0f} s left")
        self._console.print(", ".join(parts), markup=False)


def play_and_train(
    config: TrainConfig, run: RunConfig, directory: TrainDirectory, expert: Sequence[Path], *, silent: bool
) -> LiveState:
    """Do the rounds.

    Raises:
        LamarckError: something is missing or wrong.
    """
    from ..training.base import require
    from ..training.curves import check_reporters
    from ..training.live import Live
    from ..training.settle import named
    from ..training.sources import load_sources
    from .live_collect import Runs
    from .live_follow import Experts

    require()
    # What training would refuse is refused before there is playing, and before there is a folder.
    check_reporters(config)
    named(config)
    told = Console(stderr=True, highlight=False, soft_wrap=True, quiet=silent)
    stored = load_sources(config, lambda text: told.print(text, style="dim", markup=False)).trajectories
    experts, out = _followed(config, expert), directory.path
    ident = content_id("experts", [one.id for one in experts])
    if directory.exists():
        _same_experts(out, ident)
    # Not opened: there is no update yet that Ctrl-C could wait for.
    stage = _stage(base_folder(config.model, TrainWatch("base model", quiet=silent)), silent)
    run = _asleep_between(run)
    llm = _server(run, out, told)
    with directory.lock():
        write_whole(out / RUN, run.dump_toml())
        runs = [str(place.resolve()) for place in expert]
        write_whole(out / EXPERTS, json.dumps({"runs": runs, "attempts": ident}) + "\n")
        # Last: from then on there is something to resume.
        write_whole(directory.config_path, config.dump_toml())
        player = Experts(experts, run, config, out, llm) if expert else Runs(run, config, out, llm, quiet=silent)
        rounds = Live(config, player, stage, out, stored, Told(config.live.rounds, silent), expert)
        try:
            return asyncio.run(_played(rounds, llm))
        except KeyboardInterrupt:
            Console(stderr=True).print(f"Stopped. Go on with: lamarck train live --resume --out {out}", markup=False)
            raise typer.Exit(130) from None


async def _played(rounds: Live, llm: VllmLLM | None) -> LiveState:
    """Do the rounds and sum them up; the server ends with them, however they end.

    Raises:
        LamarckError: see `Live.run` and `finish`.
    """
    from ..training.live_summary import finish, unfinish

    unfinish(rounds.out)
    try:
        state = await rounds.run()
    finally:
        if llm is not None:
            await llm.close()
    finish(rounds.config, state, rounds.played(state), rounds.out)
    return state


def _asleep_between(run: RunConfig) -> RunConfig:
    """Return settings by which a server on the GPU that is trained on sleeps in between, where nothing else is said.

    Awake it takes nine tenths of the memory.
    """
    import torch

    from ..agent.llms import VLLM

    vllm = run.model.vllm
    said = {"sleep", "gpu_memory"} & vllm.model_fields_set
    if not run.model.name.startswith(VLLM) or said or not torch.cuda.is_available():
        return run
    model = run.model.model_copy(update={"vllm": vllm.model_copy(update={"sleep": True})})
    return run.model_copy(update={"model": model})


def _server(run: RunConfig, out: Path, told: Console) -> VllmLLM | None:
    """Return the server that plays all rounds, not started yet; None where a model in this process plays.

    Raises:
        ConfigError: there is no vLLM, or no such model.
    """
    from ..agent.llms import VLLM, build_llm
    from ..agent.vllm import VllmLLM

    if not run.model.name.startswith(VLLM):
        return None
    llm = build_llm(run.model, lambda text: told.print(text, style="dim", markup=False), out / "logs")
    assert isinstance(llm, VllmLLM)
    return llm


def _followed(config: TrainConfig, expert: Sequence[Path]) -> list[Any]:
    from ..training.sources import load_sources

    if not expert:
        return []
    samples = config.samples.model_copy(update={"splits": ()})
    return list(
        load_sources(config.model_copy(update={"stores": tuple(map(str, expert)), "samples": samples})).trajectories
    )


def _stage(folder: Path, silent: bool) -> Any:
    from ..training.quiet import hushed

    with hushed():
        from ..training.live_stage import LiveStage

    class Watched(LiveStage):
        """Shows a bar while it trains."""

        def train(self, config: TrainConfig, rows: Any, known: Any, out: Path) -> Path:
            with TrainWatch(f"training {out.parent.name}", quiet=silent) as watch:
                self.watch = watch
                return super().train(config, rows, known, out)

    return Watched(folder)
