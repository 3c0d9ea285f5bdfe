"""A model as the proposer: what it is asked, and how strictly its answer is read."""

from __future__ import annotations

import random
import re
from importlib import resources
from pathlib import Path
from string import Template
from typing import NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from ...core import Message, Sampling
from ...errors import ModelError
from ...seams import LLM
from .. import prompts as prompt_files
from .proposer import Asked, Reason, Refusal

LONGEST = 20_000
"""Characters of an answer."""
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)
_FENCE = re.compile(r"\A```(?:json)?\s*\n(.*)\n```\Z", re.DOTALL)

Form = TypeVar("Form", bound=BaseModel)


class Written(NamedTuple):
    """What came of a question, and the question for the record."""

    form: BaseModel | None
    refusal: Refusal | None
    asked: Asked | None


class Writer:
    """Asks a model for one description in the form of a JSON object.

    Args:
        llm: the model.
        prompt: name of the prompt file.
        form: the fields of the object.
        folder: where files of the user's own lie; what is not there is taken from the package.
        temperature: of the sampling; at 0 the same question would always get the same task.
    """

    def __init__(
        self, llm: LLM, prompt: str, form: type[BaseModel], folder: Path | None = None, temperature: float = 1.0
    ) -> None:
        self._llm, self._form, self._temperature = llm, form, temperature
        self._template = Template(prompt_text(prompt, folder))

    async def write(self, generator: random.Random, **values: str) -> Written:
        """Ask once. A model that does not answer is a refusal, not an error; see `Making.propose`."""
        messages = (Message(role="user", content=self._template.safe_substitute(values).strip()),)
        sampling = Sampling(temperature=self._temperature, max_tokens=1024, seed=generator.randrange(2**31))
        try:
            reply = await self._llm.chat(messages, sampling=sampling)
        except ModelError as error:
            return Written(None, Refusal(reason="model", detail=error.message[:200]), None)
        found = strictly(reply.text, self._form)
        refusal = found if isinstance(found, Refusal) else None
        asked = Asked(messages=messages, reply=reply, refusal=refusal)
        return Written(None if isinstance(found, Refusal) else found, refusal, asked)


def strictly(text: str, form: type[Form]) -> Form | Refusal:
    """Read an answer that is one JSON object of the form, alone or in one code fence, and nothing else.

    What a model thought aloud before it is left out. Numbers as text, unknown fields and missing ones are refused:
    who guesses what was meant would pass on in doubt.
    """
    plain = _THOUGHT.sub("", text[: 4 * LONGEST]).strip()
    if len(plain) > LONGEST:
        return _refusal("too_long", f"{len(text)} characters")
    if any("\ud800" <= letter <= "\udfff" or letter == "\0" for letter in plain):
        return _refusal("format", "broken characters")
    fenced = _FENCE.match(plain)
    try:
        return form.model_validate_json(fenced[1] if fenced else plain, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid":
            return _refusal("format", "no JSON object alone")
        return _refusal("fields", f"{'.'.join(map(str, first['loc']))}: {first['msg']}".strip(": "))


def prompt_text(name: str, folder: Path | None = None) -> str:
    """Return a prompt file, the user's own where there is one."""
    if folder is not None and (own := folder / f"{name}.md").is_file():
        return own.read_text(encoding="utf-8")
    return resources.files(prompt_files).joinpath(f"{name}.md").read_text(encoding="utf-8")


def _refusal(reason: Reason, detail: str) -> Refusal:
    return Refusal(reason=reason, detail=detail[:200])
