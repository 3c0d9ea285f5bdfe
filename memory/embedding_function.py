"""An embedder as Chroma knows them, so that a collection of ours can be asked by text from plain Chroma too."""

from __future__ import annotations

import functools
from typing import Any

from .embedding import Embedder, build_embedder

NAME = "lamarck"


def embedding_function(embedder: Embedder) -> Any:
    """Return Chroma's `EmbeddingFunction` for an embedder.

    It is stored with a collection by name and configuration; after importing this module's class through
    `function_class()`, plain Chroma builds it again from them. Chroma's own default, which downloads its model at
    first use, is thus never reached.
    """
    return function_class()(embedder.name, embedder.dimension, embedder)


@functools.cache
def function_class() -> type[Any]:
    """Return the class, defined and registered with Chroma at the first call: importing Chroma takes a second."""
    import numpy as np
    from chromadb import Documents, EmbeddingFunction, Embeddings
    from chromadb.utils.embedding_functions import register_embedding_function

    class LamarckEmbedding(EmbeddingFunction[Documents]):
        """Hands Chroma's texts to an embedder of ours, made at the first text: Chroma builds it at every opening."""

        def __init__(self, name: str, dimension: int, embedder: Embedder | None = None) -> None:
            self._name, self._dimension, self._embedder = name, dimension, embedder

        def __call__(self, input: Documents) -> Embeddings:
            if self._embedder is None:
                self._embedder = build_embedder(self._name)
            return [np.asarray(row) for row in self._embedder.embed(list(input))]

        @staticmethod
        def name() -> str:
            return NAME

        def default_space(self) -> Any:
            return "cosine"

        def get_config(self) -> dict[str, Any]:
            return {"embedding": self._name, "dimension": self._dimension}

        @staticmethod
        def build_from_config(config: dict[str, Any]) -> EmbeddingFunction[Documents]:
            return LamarckEmbedding(str(config["embedding"]), int(config["dimension"]))

    register_embedding_function(LamarckEmbedding)  # type: ignore[no-untyped-call]
    return LamarckEmbedding
