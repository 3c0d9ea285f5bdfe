"""One error type per boundary, and the `boundary()` that gives foreign exceptions our names.

An error message says what went wrong, with which id, and what to do next. `LamarckError` is what a command
prints as one line; anything else that escapes is a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class LamarckError(Exception):
    """Root of all errors that are meant to be read by a person.

    Args:
        message: what went wrong, with which id.
        hint: what to do next; printed behind the message.
        kind: a short stable word for programs (`rate_limit`, `timeout`, `schema`, ...).
    """

    def __init__(self, message: str, *, hint: str = "", kind: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint
        self.kind = kind or type(self).__name__


class ConfigError(LamarckError):
    """The user's configuration, flags or paths are wrong."""


class ModelError(LamarckError):
    """The language model could not answer: outage, refusal of service, no key, unusable reply format."""


class ToolError(LamarckError):
    """A tool call failed in a way the model may read and react to."""


class SandboxError(LamarckError):
    """The sandbox itself failed (code that fails inside it is a result, not an error)."""


class EnvironmentFailure(LamarckError):
    """An environment crashed or broke its contract; the episode has no reward."""


class StoreError(LamarckError):
    """The store cannot be read or written."""


class TrainingError(LamarckError):
    """Training cannot start or go on."""


INFRASTRUCTURE: tuple[type[LamarckError], ...] = (ModelError, SandboxError, EnvironmentFailure, StoreError)
"""What ends an attempt without saying anything about the task."""


@contextmanager
def boundary(
    to: type[LamarckError], what: str, *catch: type[Exception], hint: str = "", kind: str = ""
) -> Iterator[None]:
    """Re-raise foreign exceptions as `to`, with `what` in front and the original as cause.

    Args:
        to: our error type for this boundary.
        what: what was being done, with the id it was done to.
        *catch: the foreign types to name; `Exception` when none is given.
        hint: what the reader can do next.
        kind: short stable word; the foreign type's name when empty.

    Raises:
        LamarckError: of type `to`. Errors that are already ours pass unchanged.
    """
    wanted = catch or (Exception,)
    try:
        yield
    except LamarckError:
        raise
    except wanted as error:
        text = str(error).strip().splitlines()
        reason = text[0] if text else type(error).__name__
        raise to(f"{what}: {reason}", hint=hint, kind=kind or type(error).__name__) from error
