"""Any litellm embedding model as an embedder."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, boundary

if TYPE_CHECKING:
    from .embedding import Matrix

BATCH = 64


class LiteLLMEmbedder:
    """Asks a provider for embeddings.

    Args:
        name: litellm's name of the model, for example `openai/text-embedding-3-small`.
        api_base: URL of a server of one's own.
        api_key: the key, where litellm's usual variable is not meant.
        timeout_s: longest wait for one call, in seconds.
        retries: how often a call is repeated.
    """

    def __init__(
        self,
        name: str,
        *,
        api_base: str | None = None,
        api_key: str | None = None,
        timeout_s: float = 60.0,
        retries: int = 4,
    ) -> None:
        self.name = name
        self._settings = {"api_base": api_base, "api_key": api_key, "timeout": timeout_s, "num_retries": retries}

    @functools.cached_property
    def dimension(self) -> int:
        """Length of its vectors, found out by the first text.

        Raises:
            ModelError: the provider does not answer.
        """
        return int(self._ask(["dimension"]).shape[1])

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return one unit vector per text: (len(texts), dimension), float32.

        Raises:
            ModelError: the provider does not answer, or with something else than vectors.
        """
        import numpy as np

        parts = [self._ask(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH)]
        return np.concatenate(parts) if parts else np.empty((0, self.dimension), dtype=np.float32)

    def _ask(self, texts: Sequence[str]) -> Matrix:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm
        import numpy as np

        litellm.suppress_debug_info = True
        with boundary(ModelError, f"embedding model {self.name}", hint="Check its name, key and server."):
            # An empty text is refused by some providers.
            answer: Any = litellm.embedding(self.name, input=[text or " " for text in texts], **self._settings)
            rows = [entry["embedding"] for entry in sorted(answer.data, key=lambda entry: entry["index"])]
            matrix = np.asarray(rows, dtype=np.float32)
        if matrix.ndim != 2 or len(matrix) != len(texts) or not np.isfinite(matrix).all():
            raise ModelError(f"embedding model {self.name} gave {matrix.shape} for {len(texts)} texts.", kind="shape")
        unit: Matrix = matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-12)
        return unit
