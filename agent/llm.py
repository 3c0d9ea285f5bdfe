"""The one call site over litellm: any provider, local OpenAI-compatible servers, vLLM."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from ..core import Choice, Message, Reply, Sampling, ToolSpec, Usage
from ..errors import ModelError
from .llm_choice import chosen_index, listing, schema_of
from .llm_convert import (
    read_policy,
    read_prompt_tokens,
    read_text,
    read_tokens,
    read_tool_calls,
    read_usage,
    to_messages,
    to_tools,
)
from .llm_errors import name_error
from .llm_gate import Gate
from .llm_score import Measuring
from .retry import Backoff, Transient, with_retries

ChoiceMode = Literal["auto", "structured", "json", "score", "text"]


class LiteLLM:
    """A model by its litellm name, such as `openai/gpt-4.1-mini` or `hosted_vllm/my-model`.

    Args:
        name: litellm's name of the model.
        api_base: URL of an OpenAI-compatible server.
        api_key_env: environment variable with the key, where litellm's usual one is not meant.
        api_key: the key itself, of a server that was started with one.
        max_concurrency: calls at once; further ones wait.
        timeout_s: longest wait for one try, in seconds.
        retries: tries after the first, for outages, 429 and 5xx.
        backoff_s: first wait between tries, in seconds; doubled each time, with full jitter.
        choice_mode: how `choose` is done: `structured` (vLLM's choice decoding), `json` (a JSON schema with an
            enum), `score` (log-probabilities of each option, from servers that give those of prompts), `text` (ask,
            and match the answer), `auto` (structured for vLLM, json where litellm knows it, else text).
        measure_alone: ask for log-probabilities of given answers with nothing else under way; see `VllmServer.fragile`.
        price: (USD per prompt token, USD per completion token) for models litellm has no price for.
    """

    def __init__(
        self,
        name: str,
        *,
        api_base: str | None = None,
        api_key_env: str | None = None,
        api_key: str | None = None,
        max_concurrency: int = 8,
        timeout_s: float = 60.0,
        retries: int = 4,
        backoff_s: float = 0.5,
        choice_mode: ChoiceMode = "auto",
        measure_alone: bool = False,
        price: tuple[float, float] | None = None,
    ) -> None:
        self.name = name
        self._api_base = api_base
        self._api_key_env = api_key_env
        self._api_key = api_key
        self._gate = Gate(max_concurrency)
        self._timeout_s = timeout_s
        self._backoff = Backoff(retries=retries, base_s=backoff_s)
        self._mode = choice_mode
        self._measuring = Measuring(self._ask)
        self._measure_alone = measure_alone
        self._price = price

    def check(self) -> None:
        """See before a run whether there is a key and a provider.

        Raises:
            ModelError: one of them is missing; says which.
        """
        if self._api_key_env is not None:
            if not os.environ.get(self._api_key_env):
                raise self._no_key(self._api_key_env)
            return
        try:
            litellm = _litellm()
            _, provider, _, _ = litellm.get_llm_provider(self.name, api_base=self._api_base)
        except litellm.exceptions.BadRequestError:
            raise ModelError(
                f"model {self.name!r} names no provider that litellm knows.",
                hint="Write PROVIDER/MODEL, e.g. openai/gpt-4.1-mini; or use embedded, random.",
                kind="unknown_model",
            ) from None
        if self._api_base is None:
            found = litellm.validate_environment(self.name)
            if found["missing_keys"]:
                raise self._no_key(", ".join(found["missing_keys"]))
            usual = f"{provider.upper()}_API_KEY"
            if os.environ.get(usual) == "":
                # litellm takes an empty key for a key.
                raise self._no_key(usual)

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Sample one completion.

        Raises:
            ModelError: with kind no_key, auth, unknown_model, context_length, refused, rate_limit, timeout, server,
                connection or bad_reply; the last five after retries.
        """
        extra: dict[str, Any] = {"tools": to_tools(tools)} if tools else {}
        return await self._complete(messages, sampling or Sampling(), extra)

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Choose one of the options, by whatever the server offers (see `choice_mode`).

        Raises:
            ModelError: as for `chat`, or `no_choice` when the answer is none of the options twice in a row.
        """
        if not options:
            raise ModelError(f"model {self.name} was given nothing to choose among.", kind="no_options")
        sampling = sampling or Sampling()
        mode = self._resolve_mode()
        if mode == "score":
            first = self._complete(messages, Sampling(max_tokens=1), {"extra_body": {"return_token_ids": True}})
            return await self._measuring.score(first, messages, options, sampling)
        extra: dict[str, Any] = {}
        asked = list(messages)
        if mode == "structured":
            extra["extra_body"] = {"structured_outputs": {"choice": list(options)}}
        elif mode == "json":
            extra["response_format"] = schema_of(options)
        if mode != "structured":
            asked = listing(asked, options)
        reply = await self._complete(asked, sampling, extra)
        chosen = chosen_index(reply.text, options)
        if chosen is None:
            again = [
                *asked,
                Message(role="assistant", content=reply.text[:2000] or "(nothing)"),
                Message(role="user", content="That is none of them. Answer with one of them, letter by letter."),
            ]
            second = await self._complete(again, sampling, extra)
            chosen = chosen_index(second.text, options)
            reply = second.model_copy(update={"usage": reply.usage + second.usage})
        if chosen is None:
            raise ModelError(
                f"model {self.name} chose none of the {len(options)} options, but {reply.text[:60]!r}.",
                hint="Try solver.protocol=text.",
                kind="no_choice",
            )
        reply = reply.model_copy(update={"text": options[chosen], "choice": Choice(index=chosen)})
        if mode == "structured":
            return await self._measuring.measured(reply, messages, sampling)
        if mode == "json":
            # Among what the schema lets through: not the policy's own, and of the object around the choice.
            return reply.model_copy(update={"token_ids": (), "logprobs": (), "entropies": ()})
        return reply

    def end_session(self, session: str) -> None:
        """Servers keep their own caches."""

    async def close(self) -> None:
        """Close litellm's connections."""
        litellm = _litellm()
        close = getattr(litellm, "close_litellm_async_clients", None)
        if close is not None:
            await close()
            # Else the next model in this process would be given what is closed.
            litellm.in_memory_llm_clients_cache.flush_cache()

    async def _complete(self, messages: Sequence[Message], sampling: Sampling, extra: Mapping[str, Any]) -> Reply:
        request = {
            "model": self.name,
            "messages": to_messages(messages),
            "temperature": sampling.temperature,
            "max_tokens": sampling.max_tokens,
            "timeout": self._timeout_s,
            "num_retries": 0,
            "drop_params": True,
            **({"top_p": sampling.top_p} if sampling.top_p < 1.0 else {}),
            **({"stop": list(sampling.stop)} if sampling.stop else {}),
            **({"seed": sampling.seed % 2**31} if sampling.seed is not None else {}),
            **({"logprobs": True} if sampling.logprobs else {}),
            **self._address(),
            **extra,
        }
        if sampling.logprobs and self._vllm:
            body = {"return_token_ids": True, **request.get("extra_body", {})}
            request["extra_body"] = body
        started = time.perf_counter()
        response = await self._call("acompletion", request)
        return self._reply(response, time.perf_counter() - started)

    def _reply(self, response: Any, seconds: float) -> Reply:
        choices: Any = getattr(response, "choices", None)
        message = getattr(choices[0], "message", None) if choices else None
        if message is None:
            raise ModelError(f"model {self.name} answered without a choice.", kind="bad_reply")
        ids, logprobs = read_tokens(choices[0])
        model, version = read_policy(response, self.name)
        return Reply(
            text=read_text(message),
            tool_calls=read_tool_calls(message),
            finish_reason=str(getattr(choices[0], "finish_reason", None) or "stop"),
            prompt_token_ids=read_prompt_tokens(response),
            token_ids=ids,
            logprobs=logprobs,
            usage=read_usage(response, self._cost(response)),
            model=model,
            policy_version=version,
            seconds=seconds,
        )

    async def _ask(self, messages: Sequence[Message], extra: Mapping[str, Any]) -> tuple[Any, Usage]:
        """Ask for one token and return all that came with it."""
        request = {
            "model": self.name,
            "messages": to_messages(messages),
            "max_tokens": 1,
            "temperature": 0.0,
            "timeout": self._timeout_s,
            "num_retries": 0,
            **self._address(),
            **extra,
        }
        response = await self._call("acompletion", request, alone=self._measure_alone)
        return response, read_usage(response, self._cost(response))

    async def _call(self, function: str, request: Mapping[str, Any], *, alone: bool = False) -> Any:
        litellm = await asyncio.to_thread(_litellm)

        async def once() -> Any:
            async with self._gate.alone() if alone else self._gate.one():
                try:
                    return await asyncio.wait_for(getattr(litellm, function)(**request), self._timeout_s)
                except TimeoutError:
                    raise Transient(
                        f"model {self.name} gave no answer within {self._timeout_s:g} s", kind="timeout"
                    ) from None
                except Exception as error:
                    raise name_error(self.name, self._api_base, error) from error

        return await with_retries(once, self._backoff)

    def _address(self) -> dict[str, Any]:
        address: dict[str, Any] = {}
        if self._api_base is not None:
            address["api_base"] = self._api_base
            # Local servers take any key, but the client insists on one.
            address["api_key"] = self._api_key or "none"
        if self._api_key_env is not None:
            address["api_key"] = os.environ.get(self._api_key_env, "")
        return address

    @property
    def _vllm(self) -> bool:
        return self.name.startswith("hosted_vllm/")

    def _resolve_mode(self) -> ChoiceMode:
        if self._mode != "auto":
            return self._mode
        if self._vllm:
            return "structured"
        return "json" if _litellm().supports_response_schema(model=self.name) else "text"

    def _cost(self, response: Any) -> float:
        usage = read_usage(response, 0.0)
        if self._price is not None:
            return usage.prompt_tokens * self._price[0] + usage.completion_tokens * self._price[1]
        litellm = _litellm()
        try:
            return float(litellm.completion_cost(completion_response=response, model=self.name))
        except Exception:  # noqa: BLE001 - litellm raises a bare Exception for a model it has no price for
            return 0.0

    def _no_key(self, variable: str) -> ModelError:
        return ModelError(
            f"model {self.name} needs an API key in {variable}.",
            hint=f"Set {variable}, or use --model embedded, which needs none.",
            kind="no_key",
        )


def _litellm() -> Any:
    """Import litellm without its look-ups and prints."""
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    import litellm

    litellm.telemetry = False
    litellm.suppress_debug_info = True
    return litellm
