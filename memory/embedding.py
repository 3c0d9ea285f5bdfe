"""The seam of embeddings, and from the name of one in the configuration to the thing itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ..errors import ConfigError
from ..wheels import Notify

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]


class Embedder(Protocol):
    """Turns texts into unit vectors."""

    name: str
    """Says which model it is; vectors of different names are never compared."""

    @property
    def dimension(self) -> int:
        """Length of its vectors; a remote model may have to be asked."""
        ...

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one unit vector per text: (len(texts), dimension), float32.

        Raises:
            ModelError: the model cannot be reached or does not answer as it should.
        """
        ...


def build_embedder(name: str, *, notify: Notify | None = None) -> Embedder:
    """Return the embedder of that name: `minilm`, or any litellm embedding model.

    Raises:
        ConfigError: the extra `memory` is not installed.
        ModelError: the weights cannot be had.
    """
    from .minilm import NAME, MiniLM

    if name in ("minilm", NAME):
        return MiniLM(notify=notify)
    if not name.strip():
        raise ConfigError("memory.embedding is empty.", hint="Name minilm or a litellm embedding model.")
    from .remote_embedding import LiteLLMEmbedder

    return LiteLLMEmbedder(name)


def need(*modules: str) -> None:
    """Check that the extra `memory` is installed.

    Raises:
        ConfigError: it is not.
    """
    from importlib.util import find_spec

    missing = [module for module in modules if find_spec(module) is None]
    if missing:
        raise ConfigError(
            f"memory needs {', '.join(missing)}.", hint="Run: pip install 'lamarck-agents[memory]'", kind="missing"
        )
