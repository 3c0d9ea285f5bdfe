"""What a vLLM server is started with: which model under which name, and the command line."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from ..config_vllm import VllmConfig
from ..errors import ConfigError
from ..weights import ADAPTER_CONFIG, check_base, check_model, policy_version, read_manifest, weights_id

RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)
"""What vLLM takes for the largest rank of an adapter."""
HUB = re.compile(r"[\w.-]+/[\w.-]+")
NO_VLLM = "Run: pip install 'lamarck-agents[vllm]', or set model.vllm.python to an interpreter that has vllm."


@dataclass(frozen=True)
class Served:
    """A model as a server has it: where it is loaded from, and what it goes by.

    The labels under which it is served tell weights and adapter, so that each reply says what sampled it.
    """

    source: str
    """Folder, or name on a hub."""
    name: str
    weights: str | None = None
    """`weights_id`; None for one on a hub, whose files are not here to be read."""

    @classmethod
    def of(cls, source: str | Path) -> Served:
        """Return what a folder or a hub's name stands for.

        Raises:
            ConfigError: there is no such folder, or no model in it, and it is no name on a hub either.
        """
        folder = Path(source).expanduser()
        if not folder.exists() and HUB.fullmatch(str(source)) and not str(source).startswith("."):
            return cls(str(source), str(source).partition("/")[2])
        check_model(folder)
        folder = folder.resolve()
        found = [(file.name, file.stat()) for file in sorted(folder.glob("*.safetensors"))]
        files = tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in found)
        return cls(str(folder), folder.name, _weights(str(folder), files))

    @property
    def label(self) -> str:
        """The name it is served by: `smollm2-135m-instruct@0123456789ab`."""
        return self.name if self.weights is None else f"{self.name}@{self.weights}"

    def adapted(self, adapter: Path) -> str:
        """Return the name that an adapter on it is served by: `smollm2-135m-instruct@0123456789ab+ba9876543210`.

        Raises:
            ConfigError: the folder holds no whole adapter, or one of another model.
        """
        manifest = read_manifest(adapter)
        if self.weights is None:
            return f"{self.name}+{manifest.id[:12]}"
        check_base(manifest, self.name, self.weights)
        return f"{self.name}@{policy_version(self.weights, manifest.id)}"


@lru_cache(maxsize=8)
def _weights(folder: str, files: tuple[tuple[str, int, int], ...]) -> str:
    """Return the id of weights that are hashed once for as long as their files stay as they are: it takes minutes."""
    return weights_id(folder)


def vllm_command(
    served: Served, config: VllmConfig, *, host: str, port: int, rank: int, adapter: Path | None = None
) -> list[str]:
    """Return the command line of a server.

    Started as a module: `vllm serve` is the same program, but the builds for processors install no such command that
    works.

    Raises:
        ConfigError: no interpreter has vllm, or there is no whole adapter of this model.
    """
    command = [
        interpreter(config),
        "-m",
        "vllm.entrypoints.openai.api_server",
        "--model",
        served.source,
        "--host",
        host,
    ]
    names = [served.label] if served.label == served.name else [served.label, served.name]
    command += ["--port", str(port), "--served-model-name", *names, "--dtype", config.dtype]
    # What is not asked for is not done: a model's own top_k or repetition penalty would bend what it samples.
    command += ["--generation-config", "vllm"]
    if config.context is not None:
        command += ["--max-model-len", str(config.context)]
    if config.gpu_memory is not None:
        command += ["--gpu-memory-utilization", str(config.gpu_memory)]
    if rank:
        command += ["--enable-lora", "--max-lora-rank", str(rank)]
    if adapter is not None:
        command += ["--lora-modules", json.dumps({"name": served.adapted(adapter), "path": str(adapter.resolve())})]
    if config.sleep:
        command.append("--enable-sleep-mode")
    return [*command, *config.arguments]


def vllm_environment(config: VllmConfig, key: str | None, *, adapters: bool) -> dict[str, str]:
    """Return the environment variables that a server is given beside our own."""
    env = {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    if adapters:
        env["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "True"
    if config.sleep:
        env["VLLM_SERVER_DEV_MODE"] = "1"  # the paths to sleep and wake are among those for development
    if key is not None:
        env["VLLM_API_KEY"] = key
    return env


def room_for(rank: int) -> int:
    """Return the rank to start a server with that is to take adapters of this one; 0 is without adapters.

    Raises:
        ConfigError: vLLM takes none that large.
    """
    if rank > RANKS[-1]:
        raise ConfigError(f"vLLM takes no adapter of rank {rank}, {RANKS[-1]} at most.")
    return next(known for known in RANKS if known >= rank) if rank else 0


def rank_of(adapter: Path) -> int:
    """Return the largest rank in an adapter.

    Raises:
        ConfigError: its configuration cannot be read.
    """
    try:
        found: Mapping[str, object] = json.loads((adapter / ADAPTER_CONFIG).read_text(encoding="utf-8"))
        patterns = found.get("rank_pattern") or {}
        assert isinstance(patterns, dict)
        return max(int(str(found["r"])), *(int(rank) for rank in patterns.values()), 1)
    except (OSError, ValueError, KeyError, AssertionError) as error:
        raise ConfigError(f"the adapter in {adapter} says nothing readable of its rank.") from error


def interpreter(config: VllmConfig) -> str:
    """Return the interpreter to start vLLM with.

    Raises:
        ConfigError: it is not there, or has no vllm.
    """
    if config.python is None:
        if find_spec("vllm") is None:
            raise ConfigError("vLLM is not installed here.", hint=NO_VLLM)
        return sys.executable
    # Not resolved: the link in an environment's folder is what makes it that environment's.
    python = Path(config.python).expanduser()
    if not python.is_file():
        raise ConfigError(f"there is no interpreter {python}, which model.vllm.python names.", hint=NO_VLLM)
    return str(python.absolute())
