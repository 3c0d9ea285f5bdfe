"""A model in this process, SmolLM2-135M-Instruct where no other is named, behind the same door as any other."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Literal, TypeVar

from ..core import Choice, Message, Reply, Sampling, ToolSpec, Usage
from ..errors import ModelError
from .embedded_lanes import Lanes, shares
from .embedded_load import load_model
from .llm_choice import picked
from .packed import PackedScorer, Scored

T = TypeVar("T")


class EmbeddedLLM:
    """A transformers model in this process. Torch runs in threads of its own, `lanes`, each one call after the other.

    Args:
        folder: the model's folder, as `models_cache.pull` returns it or transformers saves one.
        adapter: folder of an adapter that was trained on exactly these weights.
        threads: CPU threads of torch; None leaves them as they are.
        at_once: episodes that are played beside each other, which share these threads out among them (see `shares`);
            with `threads` of 1 every call is computed alike, whatever is asked beside it.
        dtype: `auto` times both once, on the processor by the threads that one episode has there, and takes the faster:
            bfloat16 is several times faster than float32 on a processor with instructions for it, and several times
            slower on one without.
        score_kind: how a continuation is scored; the mean does not favour short ones.
        score_end: whether the token that ends the answer counts as part of each continuation.
        sessions: episodes whose prompt cache is kept at once, in each lane.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        adapter: str | Path | None = None,
        threads: int | None = None,
        at_once: int = 1,
        dtype: Literal["auto", "bfloat16", "float32"] = "auto",
        score_kind: Literal["mean_logprob", "sum_logprob"] = "mean_logprob",
        score_end: bool = False,
        sessions: int = 8,
    ) -> None:
        self.folder = Path(folder)
        self.adapter = Path(adapter) if adapter is not None else None
        self.name = self.folder.resolve().name
        self._threads, self._at_once = threads, at_once
        self.dtype: str = dtype
        self._score_kind, self._score_end = score_kind, score_end
        self._sessions = sessions
        self._loading, self._tokenizing = Lock(), Lock()
        self._lanes: Lanes | None = None
        self._tokenizer: Any = None
        self._context = 0
        self.policy_version = ""

    async def chat(
        self,
        messages: Sequence[Message],
        *,
        sampling: Sampling | None = None,
        tools: Sequence[ToolSpec] = (),
        session: str | None = None,
    ) -> Reply:
        """Sample a completion token by token.

        Raises:
            ModelError: tools were given, which this model was not made for; or the prompt does not fit.
        """
        if tools:
            raise ModelError(
                f"model {self.name} cannot call tools.", hint="Set solver.protocol to choice or text.", kind="tools"
            )
        return await self._run(session, self._chat, list(messages), sampling or Sampling())

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        sampling: Sampling | None = None,
        session: str | None = None,
    ) -> Reply:
        """Score every option as the answer to the prompt and take the best, or draw one at a temperature above 0.

        `reply.logprobs` are those of the chosen option's own tokens under the unconstrained model. The probability
        with which the option was chosen among the others is another thing: a softmax over `choice.scores`.

        Raises:
            ModelError: there are no options, or the prompt does not fit.
        """
        if not options:
            raise ModelError(f"model {self.name} was given nothing to choose among.", kind="no_options")
        return await self._run(session, self._choose, list(messages), list(options), sampling or Sampling())

    def end_session(self, session: str) -> None:
        """Drop an episode's prompt cache."""
        if self._lanes is not None:
            self._lanes.forget(session)

    def ready(self) -> None:
        """Load the weights now, so that what is wrong with them is said before the first question.

        Raises:
            ConfigError, ModelError: see `load`.
        """
        self.load()

    async def close(self) -> None:
        """End the model's threads and let go of the weights."""
        if self._lanes is not None:
            self._lanes.close()
        self._lanes = None

    async def _run(self, session: str | None, function: Callable[..., T], *args: Any) -> T:
        lanes = self._lanes
        if lanes is None:
            lanes = await asyncio.to_thread(self._load)
        lane = lanes.of(session)
        call = functools.partial(function, lane.scorer, *args, session)
        lane.calls += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(lane.executor, call)
        finally:
            lane.calls -= 1

    def load(self) -> PackedScorer:
        """Load the weights, once; return what scores in the first lane.

        Raises:
            ConfigError: there is no adapter, it is damaged, or it was trained on other weights.
            ModelError: the folder holds no readable model.
        """
        return self._load().lanes[0].scorer

    def _load(self) -> Lanes:
        with self._loading:
            if self._lanes is None:
                each = shares(self._at_once, self._threads)[0]
                loaded = load_model(self.folder, self.adapter, self.dtype, each)
                self.dtype, self.policy_version = loaded.dtype, loaded.version
                self._tokenizer, self._context = loaded.tokenizer, loaded.context
                self._lanes = Lanes(loaded.model, at_once=self._at_once, threads=self._threads, sessions=self._sessions)
            return self._lanes

    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Return the tokens of a chat up to where the answer begins."""
        self.load()
        chat = [{"role": message.role, "content": message.content} for message in messages]
        with self._tokenizing:
            out = self._tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=True, return_dict=True)
        return list(out["input_ids"])

    def encode_options(self, options: Sequence[str]) -> list[list[int]]:
        """Return the tokens of each option."""
        with self._tokenizing:
            rows = self._tokenizer(list(options), add_special_tokens=False)["input_ids"]
        end = [self._tokenizer.eos_token_id] if self._score_end else []
        return [[*row, *end] or [self._tokenizer.eos_token_id] for row in rows]

    # What follows runs in a lane's thread.

    def _choose(
        self,
        scorer: PackedScorer,
        messages: list[Message],
        options: list[str],
        sampling: Sampling,
        session: str | None,
    ) -> Reply:
        started = time.perf_counter()
        prompt = self.encode(messages)
        rows = self.encode_options(options)
        self._fits(len(prompt) + max(map(len, rows)))
        scored, cached = scorer.score(prompt, rows, session)
        scores = [self._score(one) for one in scored]
        index = picked(scores, sampling)
        return Reply(
            text=options[index],
            choice=Choice(index=index, scores=tuple(scores), score_kind=self._score_kind),
            prompt_token_ids=tuple(prompt),
            token_ids=tuple(rows[index]),
            logprobs=scored[index].logprobs,
            entropies=scored[index].entropies,
            usage=Usage(prompt_tokens=len(prompt), completion_tokens=len(rows[index]), cached_tokens=cached, calls=1),
            model=self.name,
            policy_version=self.policy_version,
            seconds=time.perf_counter() - started,
        )

    def _score(self, scored: Scored) -> float:
        total = sum(scored.logprobs)
        return total / len(scored.logprobs) if self._score_kind == "mean_logprob" else total

    def _chat(self, scorer: PackedScorer, messages: list[Message], sampling: Sampling, session: str | None) -> Reply:
        import torch

        started = time.perf_counter()
        prompt = self.encode(messages)
        self._fits(len(prompt) + 1)
        prefix, cached = scorer.read(prompt, session)
        generator = torch.Generator().manual_seed(sampling.seed or 0)
        tokens: list[int] = []
        logprobs: list[float] = []
        entropies: list[float] = []
        finish, text = "length", ""
        room = min(sampling.max_tokens, self._context - len(prompt))
        while len(tokens) < room:
            assert prefix.logits is not None
            distribution = torch.log_softmax(prefix.logits, -1)
            token = _draw(prefix.logits, sampling, generator)
            tokens.append(token)
            logprobs.append(float(distribution[token]))
            entropies.append(float(-(distribution.exp() * distribution).sum()))
            if token == self._tokenizer.eos_token_id:
                finish = "stop"
                break
            text = self._tokenizer.decode(tokens, skip_special_tokens=True)
            if cut := next((stop for stop in sampling.stop if stop in text), None):
                text, finish = text[: text.index(cut)], "stop"
                break
            prefix, _ = scorer.read([*prompt, *tokens], session)
        return Reply(
            text=text,
            finish_reason=finish,
            prompt_token_ids=tuple(prompt),
            token_ids=tuple(tokens),
            logprobs=tuple(logprobs),
            entropies=tuple(entropies),
            usage=Usage(prompt_tokens=len(prompt), completion_tokens=len(tokens), cached_tokens=cached, calls=1),
            model=self.name,
            policy_version=self.policy_version,
            seconds=time.perf_counter() - started,
        )

    def _fits(self, tokens: int) -> None:
        if tokens > self._context:
            raise ModelError(
                f"the prompt and its answer take {tokens} tokens, model {self.name} has room for {self._context}.",
                hint="Lower solver.history.",
                kind="context_length",
            )


def _draw(logits: Any, sampling: Sampling, generator: Any) -> int:
    """Draw a token with temperature and nucleus sampling."""
    import torch

    if sampling.temperature == 0.0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / sampling.temperature, -1)
    if sampling.top_p < 1.0:
        ordered, order = probabilities.sort(descending=True)
        outside = ordered.cumsum(-1) - ordered >= sampling.top_p
        probabilities[order[outside]] = 0.0
    return int(torch.multinomial(probabilities, 1, generator=generator))
