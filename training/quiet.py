"""Keeping libraries from printing while a stage goes on."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO

NOISY = ("accelerate", "datasets", "peft", "torch", "transformers", "trl", "tensorboard")


@contextmanager
def hushed() -> Iterator[None]:
    """Hide progress bars, warnings and log lines of the libraries below; afterwards all is as it was."""
    from datasets.utils import logging as bars

    with redirect_stdout(StringIO()):
        # As it is imported it prints that WANDB_MODE is `offline`; standard output is for results.
        import transformers.integrations.integration_utils  # noqa: F401
    from transformers.utils import logging as lines

    levels = {name: logging.getLogger(name).level for name in NOISY}
    shown, drawn = lines.is_progress_bar_enabled(), bars.is_progress_bar_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for name in NOISY:
                logging.getLogger(name).setLevel(logging.CRITICAL)
            lines.disable_progress_bar()
            bars.disable_progress_bar()
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
            if shown:
                lines.enable_progress_bar()
            if drawn:
                bars.enable_progress_bar()
