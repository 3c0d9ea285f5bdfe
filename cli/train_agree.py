"""`lamarck train agree`: do sampling and training compute the same log-probabilities?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from ..agent.llms import embedded_folder
from ..agent.models_cache import DEFAULT_MODEL
from ..config_training import GRPOSettings, SamplesConfig, TrainConfig
from ..errors import ConfigError, TrainingError
from ..rundir import RunDirectory
from ..training.agreement import Agreement, agreement, check
from ..training.base import load_base
from ..training.device import place
from ..training.rows import Row, step_rows
from ..training.sources import load_sources
from ..weights import policy_version
from . import options as o
from .tables import console, print_json

BOUND = GRPOSettings().agreement


def agree(
    store: Annotated[list[Path], typer.Option("--store", help="Run, store or exported file. Repeatable.")],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="embedded or a folder; the run's own if not given.")
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", help="Adapter on it; the run's own if not given.")
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Compare at most this many answers, evenly spread.")] = 64,
    batch: Annotated[int, typer.Option(min=1, help="Answers that go through the model at once.")] = 4,
    bound: Annotated[float, typer.Option(min=0.0, help="Largest mean difference, in nats per token.")] = BOUND,
    as_json: o.Json = False,
) -> None:
    """Compare stored log-probabilities with those that training computes for the same tokens and policy.

    Training on them does this too, on fewer rows, and refuses beyond the bound; so does this, with exit code 1.
    """
    config = _config([str(place) for place in store], model, adapter)
    screen = o.progress_console(as_json)
    sources = load_sources(config, lambda text: screen.print(text, style="dim", markup=False))
    found = [row for one in sources.trajectories for row in step_rows(one)]
    if not found:
        raise TrainingError(
            "no stored answer has token ids, so there is nothing to compare.",
            hint="Models in this process and vLLM give them; others may not.",
        )
    with screen.status("loading the model"):
        base = load_base(config, embedded_folder(config.model), plain=config.start is None)
        place(base.model)
    policy = policy_version(base.weights, base.adapter.id if base.adapter is not None else None)
    with screen.status(f"computing log-probabilities of at most {rows} answers"):
        from ..training.scoring import logprobs

        report = agreement(
            _some(found, policy, rows),
            policy,
            lambda some: logprobs(base.model, some, batch=batch, pad_id=base.tokenizer.pad_token_id),
        )
    _say(report, bound, as_json)
    check(report, bound)


def _config(stores: list[str], model: str | None, adapter: Path | None) -> TrainConfig:
    """Return what training would be told; what is not given is as it was in the first run."""
    start = str(adapter) if adapter is not None else None
    directory = RunDirectory(stores[0])
    if model is None and directory.exists():
        played = directory.load_config().model
        where, _, place = played.name.partition(":")
        if where not in ("embedded", "vllm"):
            raise ConfigError(
                f"run {stores[0]} was played by {played.name}, whose weights training does not know.",
                hint="Name them by --model FOLDER.",
            )
        model = "embedded" if place in ("", "embedded", DEFAULT_MODEL) else place
        start = start or played.adapter
    # Log-probabilities do not know which split a task is of.
    return TrainConfig(
        kind="grpo", stores=tuple(stores), model=model or "embedded", start=start, samples=SamplesConfig(splits=())
    )


def _some(found: Sequence[Row], policy: str, most: int) -> list[Row]:
    """Return rows of the policy, evenly spread.

    Raises:
        TrainingError: there are none; it says which policies there are.
    """
    own = [row for row in found if row.policy_version == policy and row.on_record]
    if not own:
        others = Counter(row.policy_version or "unknown" for row in found)
        listed = ", ".join(f"{name} ({count})" for name, count in others.most_common(4))
        raise TrainingError(
            f"none of {len(found)} stored answers with token ids was sampled by policy {policy}; there are: {listed}.",
            hint="Name the weights by --model and what stands behind the + by --adapter.",
        )
    step = max(1, -(-len(own) // most))
    return own[::step]


def _say(report: Agreement, bound: float, as_json: bool) -> None:
    if as_json:
        assert report.mean is not None
        print_json({**report.as_dict(), "bound": bound, "agrees": report.mean <= bound})
        return
    out = console()
    out.print(report.sentence(), markup=False)
    out.print(
        f"computed minus sampled: {report.bias:+.2g} nats per token; worst: trajectory {report.worst}", style="dim"
    )
