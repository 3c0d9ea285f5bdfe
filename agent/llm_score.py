"""How probable given answers are to a model behind a server: scoring options, and measuring one that was chosen."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..core import Choice, Message, Reply, Sampling, Usage
from ..errors import ModelError
from .llm_choice import picked
from .llm_convert import read_prompt_tokens

log = logging.getLogger("lamarck.model")
CANNOT = "no_prompt_logprobs"
"""Kind of error of a server that answers without the log-probabilities that were asked for."""
FIELDS = ("prompt_logprobs", "continue_final_message", "add_generation_prompt", "return_token_ids")
"""What is asked for. A server that names one in refusing a request does not know it."""
Ask = Callable[[Sequence[Message], Mapping[str, Any]], Awaitable[tuple[Any, Usage]]]
"""From messages and further fields of the request to the server's answer and what it cost."""


class Measuring:
    """Asks for the log-probabilities of prompts that end in an answer; vLLM gives them.

    Args:
        ask: sends one request for a single token.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._able = True
        self._missed = False

    async def score(
        self, first: Awaitable[Reply], messages: Sequence[Message], options: Sequence[str], sampling: Sampling
    ) -> Reply:
        """Score each option; take the best, or draw one at a temperature above 0, as the embedded model does it.

        Args:
            first: an answer of one token, which is thrown away: it says with which tokens the prompt ends.
            messages: the chat.
            options: what can be answered.
            sampling: temperature and seed of the draw.

        Raises:
            ModelError: the server gives no log-probabilities of prompts, or as for any question.
        """
        started = time.perf_counter()
        every = asyncio.gather(*(self._spell(messages, option) for option in options))
        try:
            found: tuple[Reply, list[tuple[Any, Usage]]] = await asyncio.gather(first, every)
        finally:
            every.cancel()  # where one failed, nobody waits for the others
        begun, asked = found
        prompt = begun.prompt_token_ids
        read = [spelled(response, option, prompt) for (response, _), option in zip(asked, options, strict=True)]
        scores = [one.mean for one in read]
        index = picked(scores, sampling)
        return begun.model_copy(
            update={
                "text": options[index],
                "finish_reason": "stop",
                "choice": Choice(index=index, scores=tuple(scores), score_kind="mean_logprob"),
                "usage": sum((usage for _, usage in asked), begun.usage),
                "seconds": time.perf_counter() - started,
                **_tokens(read[index]),
            }
        )

    async def measured(self, reply: Reply, messages: Sequence[Message], sampling: Sampling) -> Reply:
        """Give a choice made under constraint the tokens and log-probabilities that it has without.

        Under constraint vLLM gives log-probabilities among what is still allowed, so a forced token has 0, and it may
        spell an option in pieces that the tokenizer would not. Training computes neither. A server that tells nothing
        of prompts leaves the choice without tokens; it can then be imitated as text. It is not asked again. One that
        failed at a single answer is. Both are logged, once each.
        """
        bare = reply.model_copy(update={"token_ids": (), "logprobs": (), "entropies": ()})
        if not (sampling.logprobs and self._able and reply.prompt_token_ids):
            return bare
        started = time.perf_counter()
        try:
            response, usage = await self._spell(messages, reply.text)
            read = spelled(response, reply.text, reply.prompt_token_ids)
        except ModelError as error:
            if error.kind not in ("bad_reply", "bad_request", CANNOT):
                raise
            self._left_out(error)
            return bare
        more = {"usage": reply.usage + usage, "seconds": reply.seconds + time.perf_counter() - started}
        return bare.model_copy(update={**more, **_tokens(read)})

    def _left_out(self, error: ModelError) -> None:
        self._able = error.kind != CANNOT and not (
            error.kind == "bad_request" and any(name in error.message for name in FIELDS)
        )
        if not self._able:
            log.warning("choices are kept without tokens from now on: %s They can be imitated as text.", error.message)
        elif not self._missed:
            self._missed = True
            log.warning("a choice is kept without tokens, and later ones like it: %s", error.message)

    async def _spell(self, messages: Sequence[Message], option: str) -> tuple[Any, Usage]:
        body = {
            "prompt_logprobs": 0,
            "add_generation_prompt": False,
            "continue_final_message": True,
            "return_token_ids": True,
        }
        answered = [*messages, Message(role="assistant", content=option)]
        return await self._ask(answered, {"extra_body": body})


class Spelled(NamedTuple):
    """A given answer to a prompt, as the model reads it."""

    token_ids: tuple[int, ...]
    """Empty where it is not known where the answer begins."""
    logprobs: tuple[float, ...]
    """Natural log-probability of each of its tokens, with nothing held back from the model."""

    @property
    def mean(self) -> float:
        """Mean log-probability of a token; very low where there is none."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else -1e9


def spelled(response: Any, option: str, prompt_ids: Sequence[int]) -> Spelled:
    """Read the log-probabilities of `option` from those of a prompt that ends in it.

    Args:
        response: to a request for `prompt_logprobs`.
        option: the answer.
        prompt_ids: tokens of the prompt up to where an answer begins. Where the longer prompt does not begin with
            them, as with templates that rewrite earlier answers, the answer is found from its end by its letters, and
            its tokens are not named.

    Raises:
        ModelError: the server gave no log-probabilities of the prompt.
    """
    rows = getattr(response, "prompt_logprobs", None)
    if rows is None:
        fields = getattr(response, "provider_specific_fields", None) or {}
        rows = fields.get("prompt_logprobs") if isinstance(fields, Mapping) else None
    if not rows:
        raise ModelError(
            "the server gives no prompt_logprobs.",
            hint="Set model.choice_mode to structured or text.",
            kind=CANNOT,
        )
    ids, begin = read_prompt_tokens(response), len(prompt_ids)
    if begin and len(rows) == len(ids) > begin and ids[:begin] == tuple(prompt_ids):
        found = [_entry(row, token) for row, token in zip(rows[begin:], ids[begin:], strict=True)]
        if all(entry is not None for entry in found):
            return Spelled(ids[begin:], tuple(float(entry["logprob"]) for entry in found if entry is not None))
    left, values = len(option), []
    for row in reversed(rows):
        entry = next(iter((row or {}).values()), None)
        if entry is None or left <= 0:
            break
        values.append(float(entry["logprob"]))
        left -= max(1, len(str(entry.get("decoded_token") or "x")))
    return Spelled((), tuple(reversed(values)))


def _entry(row: Mapping[Any, Any] | None, token: int) -> Mapping[str, Any] | None:
    found = (row or {}).get(str(token), (row or {}).get(token))
    return found if isinstance(found, Mapping) else None


def _tokens(read: Spelled) -> dict[str, Any]:
    """Return what a reply says of an answer's tokens; nothing where they are not known."""
    return {"token_ids": read.token_ids, "logprobs": read.logprobs if read.token_ids else (), "entropies": ()}
