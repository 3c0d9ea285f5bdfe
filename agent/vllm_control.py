"""What a vLLM server is asked beside completions: whether it is well, which adapters it has, and to sleep."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import ModelError

if TYPE_CHECKING:
    from httpx import AsyncClient, Response

ANSWER_S = 10.0
"""Longest wait for an answer that takes no work, in seconds."""
LOAD_S = 300.0
"""Longest wait until an adapter is loaded, or weights are moved to or from the GPU, in seconds."""
RESTART = frozenset({"no_endpoint", "refused"})
"""Kinds of errors at loading an adapter that a restart with the adapter on the command line may cure."""


Health = Literal["well", "ill", "silent"]
"""`ill` is a server that says itself that its engine is dead; `silent` one that gives no answer."""


@dataclass(frozen=True)
class Card:
    """One model as the server lists it."""

    name: str
    root: str
    """Folder or hub name that it was loaded from."""
    parent: str | None
    """The model under an adapter."""


class VllmControl:
    """The control calls of one server, each with a timeout.

    Args:
        root: URL without `/v1`.
        key: the server's API key, if it has one.
    """

    def __init__(self, root: str, key: str | None = None) -> None:
        self.root = root.rstrip("/").removesuffix("/v1")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client: AsyncClient | None = None

    async def health(self) -> Health:
        """Say whether the server answers and its engine is alive."""
        import httpx

        try:
            return "well" if (await self._http().get("/health")).status_code == 200 else "ill"
        except httpx.HTTPError:
            return "silent"

    async def models(self) -> tuple[Card, ...]:
        """Return the served model under each of its names, and the adapters.

        Raises:
            ModelError: no usable answer.
        """
        answer = await self._call("GET", "/v1/models", "list its models")
        try:
            return tuple(
                Card(row["id"], str(row.get("root") or ""), row.get("parent")) for row in answer.json()["data"]
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self.root} lists its models in a way that is not vLLM's.", kind="bad_reply") from error

    async def load(self, name: str, folder: Path) -> None:
        """Have an adapter loaded under a name.

        The name has to be new, and the folder one whose files stay as they are: the server keeps prompts cached by
        name, and reads the folder again when it has dropped the adapter to make room.

        Raises:
            ModelError: it was refused; of a kind in `RESTART` where a restart may help.
        """
        body = {"lora_name": name, "lora_path": _absolute(folder)}
        await self._call("POST", "/v1/load_lora_adapter", f"load adapter {folder}", LOAD_S, json=body)

    async def unload(self, name: str) -> None:
        """Have an adapter dropped.

        Raises:
            ModelError: it was refused.
        """
        await self._call("POST", "/v1/unload_lora_adapter", f"unload adapter {name}", json={"lora_name": name})

    async def sleep(self, level: int = 1) -> None:
        """Have it give back its GPU memory.

        Args:
            level: 1 keeps the weights in the machine's memory, 2 forgets them.

        Raises:
            ModelError: it was refused.
        """
        await self._call("POST", "/sleep", "sleep", LOAD_S, params={"level": str(level)})

    async def wake(self) -> None:
        """Have it take its GPU memory again.

        Raises:
            ModelError: it was refused.
        """
        await self._call("POST", "/wake_up", "wake up", LOAD_S)

    async def asleep(self) -> bool:
        """Say whether it sleeps.

        Raises:
            ModelError: it does not say.
        """
        answer = await self._call("GET", "/is_sleeping", "say whether it sleeps")
        try:
            return bool(answer.json()["is_sleeping"])
        except (ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self.root} does not say whether it sleeps.", kind="bad_reply") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    def _http(self) -> AsyncClient:
        import httpx

        if self._client is None:
            # Proxies in the environment are for the world outside, not for this machine.
            self._client = httpx.AsyncClient(
                base_url=self.root, headers=self._headers, timeout=ANSWER_S, trust_env=False
            )
        return self._client

    async def _call(
        self, method: str, path: str, what: str, longest_s: float | None = None, **options: Any
    ) -> Response:
        import httpx

        try:
            answer = await self._http().request(method, path, timeout=longest_s or ANSWER_S, **options)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise ModelError(
                f"vLLM at {self.root} cannot be asked to {what}: {reason}.", hint="Is it running?", kind="connection"
            ) from error
        if answer.status_code < 300:
            return answer
        raise self._refusal(answer, path, what)

    def _refusal(self, answer: Response, path: str, what: str) -> ModelError:
        reason = _reason(answer)
        if answer.status_code == 401:
            return ModelError(f"vLLM at {self.root} refused the API key.", hint="Check the key.", kind="auth")
        if reason is None or answer.status_code == 405:
            how = "VLLM_SERVER_DEV_MODE=1 and --enable-sleep-mode"
            if "lora" in path:
                how = "VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora"
            return ModelError(
                f"vLLM at {self.root} cannot {what}: it has no {path}.",
                hint=f"Start it with {how}, or let `lamarck models serve` start it.",
                kind="no_endpoint",
            )
        kind = "refused" if answer.status_code >= 500 else "bad_request"
        return ModelError(f"vLLM at {self.root} did not {what}: {reason[:300]}", kind=kind)


def _absolute(folder: Path) -> str:
    """Return a path that means the same where the server runs."""
    return str(folder.expanduser().resolve())


def _reason(answer: Response) -> str | None:
    """Return what the server says, or None where it knows no such path."""
    try:
        body = answer.json()
    except ValueError:
        return f"{answer.status_code} {answer.text.strip()[:200]}" if answer.status_code != 404 else None
    if not isinstance(body, dict) or body == {"detail": "Not Found"}:
        return None
    error = body.get("error", body)
    text = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(text or body).split())
