"""Where the curves of a stage are written: TensorBoard's files, Weights & Biases, trackio."""

from __future__ import annotations

import contextlib
import importlib
import io
import netrc
import os
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..config_training import TrainConfig
from ..errors import ConfigError, boundary
from .output import TrainDirectory

PROJECT = "lamarck"
"""What runs are filed under at Weights & Biases and trackio, where `WANDB_PROJECT` names nothing else."""


def check_reporters(config: TrainConfig) -> None:
    """Make sure that what curves are written with is installed.

    Raises:
        ConfigError: a package is missing.
    """
    for name in config.report_to:
        if find_spec(name) is None:
            raise ConfigError(f"report_to names {name}, which is not installed.", hint=f"Run: pip install {name}")


@contextlib.contextmanager
def curves(
    config: TrainConfig, directory: TrainDirectory, checkpoint: Path | None, say: Callable[[str], None]
) -> Iterator[list[Any]]:
    """Give the callbacks that write curves, and close what they opened.

    Args:
        config: names what to write with.
        directory: TensorBoard and Weights & Biases write to its `logs/`; trackio has one place for all runs.
        checkpoint: where training goes on from; what TensorBoard was told of later updates is dropped.
        say: is told where the curves are, where that is not `logs/`.
    """
    with contextlib.ExitStack() as open_:
        found = []
        if "tensorboard" in config.report_to:
            found.append(open_.enter_context(_tensorboard(directory, checkpoint)))
        if "wandb" in config.report_to:
            found.append(open_.enter_context(_wandb(directory, say)))
        if "trackio" in config.report_to:
            found.append(open_.enter_context(_trackio(say)))
        yield found


@contextlib.contextmanager
def _tensorboard(directory: TrainDirectory, checkpoint: Path | None) -> Iterator[Any]:
    from torch.utils.tensorboard import SummaryWriter
    from transformers.integrations import TensorBoardCallback

    step = None if checkpoint is None else int(checkpoint.name.rpartition("-")[2]) + 1
    with contextlib.closing(SummaryWriter(log_dir=str(directory.logs), purge_step=step)) as writer:
        yield TensorBoardCallback(writer)


@contextlib.contextmanager
def _wandb(directory: TrainDirectory, say: Callable[[str], None]) -> Iterator[Any]:
    """Without a key wandb asks for one, or fails where nobody can answer: then it writes to `logs/` only.

    The run is begun and ended here. transformers would begin it with the settings of the first one in this process,
    and leave it open for the next stage to write into.
    """
    wandb = importlib.import_module("wandb")
    mode = None
    if "WANDB_MODE" not in os.environ and not logged_in():
        mode = "offline"
        say(f"there is no key for wandb: curves stay in {directory.logs}/wandb; `wandb sync` sends them later")
    with (
        boundary(ConfigError, "wandb cannot begin a run", Exception, hint="WANDB_MODE=offline keeps curves here."),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        theirs = wandb.run
        run = theirs or wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=directory.path.resolve().name,
            dir=os.environ.get("WANDB_DIR", str(directory.logs)),
            mode=mode,
            settings=wandb.Settings(silent=True),
        )
        from transformers.integrations import WandbCallback

        callback = WandbCallback()
    try:
        yield callback
    finally:
        if theirs is None:
            run.finish()


@contextlib.contextmanager
def _trackio(say: Callable[[str], None]) -> Iterator[Any]:
    """trackio keeps a database of its own, and greets on standard output, which is for results here."""
    trackio = importlib.import_module("trackio")
    from transformers.integrations import TrackioCallback

    class Quiet(TrackioCallback):  # type: ignore[misc]
        def setup(self, *arguments: Any, **keywords: Any) -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                super().setup(*arguments, **keywords)

        def on_train_end(self, *arguments: Any, **keywords: Any) -> None:
            with contextlib.redirect_stdout(io.StringIO()):
                super().on_train_end(*arguments, **keywords)

        @property
        def open(self) -> bool:
            return bool(self._initialized)

    callback = Quiet()
    say(f'curves go to trackio: `trackio show --project "{PROJECT}"`')
    try:
        yield callback
    finally:
        if callback.open:
            with contextlib.redirect_stdout(io.StringIO()):
                trackio.finish()


def logged_in() -> bool:
    """Say whether there is a key for Weights & Biases: in the environment, or in `.netrc` for the server in use."""
    if os.environ.get("WANDB_API_KEY") or os.environ.get("WANDB_IDENTITY_TOKEN_FILE"):
        return True
    server = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(server) is not None
    except (OSError, netrc.NetrcParseError):
        return False
