"""Settings of a vLLM server of one's own: what `vllm:MODEL` starts for a run, and `lamarck models serve` for longer."""

from __future__ import annotations

from pydantic import Field, field_validator

from .section import Section

SETTINGS = {
    "--dtype": "dtype",
    "--enable-lora": "lora_rank",
    "--enable-sleep-mode": "sleep",
    "--gpu-memory-utilization": "gpu_memory",
    "--max-lora-rank": "lora_rank",
    "--max-model-len": "context",
    "--port": "port",
}
"""Arguments of vLLM for which there is a setting."""
OURS = frozenset(
    {"--api-key", "--generation-config", "--host", "--lora-modules", "--model", "--served-model-name", "--uds"}
)
"""Arguments that say where the server is, what it is called and how it samples: it is asked by them."""


class VllmConfig(Section):
    """How a vLLM server is started."""

    python: str | None = None
    """Interpreter that has vllm, where that is an environment of its own; None takes this one."""
    port: int = Field(default=0, ge=0, le=65535)
    """Port on this machine; 0 takes a free one."""
    dtype: str = "auto"
    """Number format of the weights: auto, bfloat16, float16 or float32."""
    context: int | None = Field(default=None, gt=0)
    """Longest prompt and answer together, in tokens; None takes the model's own."""
    gpu_memory: float | None = Field(default=None, gt=0.0, le=1.0)
    """Share of the GPU's memory that the server takes; None leaves it to vLLM (0.9). Less where training shares it."""
    lora_rank: int = Field(default=64, ge=0, le=512)
    """Largest rank of an adapter that is loaded while it runs; 0 serves without adapters, which takes less memory."""
    sleep: bool = False
    """Let the server give its GPU memory back while training uses the same GPU. Needs a GPU."""
    start_s: float = Field(default=600.0, gt=0.0)
    """Longest wait until it answers, in seconds."""
    arguments: tuple[str, ...] = ()
    """Further arguments as `vllm serve` has them, for example --tensor-parallel-size=2 or --enforce-eager."""

    @field_validator("arguments")
    @classmethod
    def _not_set_twice(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for text in given:
            name = text.partition("=")[0].replace("_", "-")
            if name in SETTINGS:
                raise ValueError(f"{name} is what model.vllm.{SETTINGS[name]} sets")
            if name in OURS:
                raise ValueError(f"{name} is not to be given, since the server is asked by ours")
        return given
