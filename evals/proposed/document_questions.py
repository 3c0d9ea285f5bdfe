"""Questions over documents, passed on only when retrieval shows that the document is what answers them.

The checks are those of Search Self-Play on the question and its answer: length in characters and words, an answer that
the question does not give away, and one that is found with the document and other passages as noise. Here the question
must find its document, an answer without the document refuses it, and a check that breaks is a refusal, where there it
counts as passed. Its checks on how the proposer searched (two searches or more, all of them distinct) have nothing to
look at: a proposer here is handed a passage and does not search, so its questions ask for one document each.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from ...agent.proposers.likeness import Said
from ...agent.proposers.making import Attempt, Made, Making, refused
from ...agent.proposers.proposer import Asked, Materials
from ...agent.proposers.writing import Writer, prompt_text
from ...core import Message, Origin, Sampling, Task, content_id
from ...errors import ConfigError, EnvironmentFailure, LamarckError, ModelError, boundary
from ...seams import LLM
from ...tools.search import Documents
from ..questions import equal
from ..worlds.hotpot import normalised
from .known import knowing
from .passages import GapAnswerer, Passage, Question, passages_of, with_gap

SHORTEST, LONGEST = 10, 1000
"""Characters of a question, as published."""
WORDS = 10
"""Fewest words of a question, as published."""
ANSWER = 80
"""Most characters of an answer."""
UNKNOWN = "unknown"
_TAG = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


class Answerer(Protocol):
    """Answers a question from texts it is given, and from nothing else."""

    async def answer(self, question: str, texts: Sequence[str], generator: random.Random) -> str | None:
        """Return the answer, or None where the texts do not say it."""
        ...


class ModelAnswerer:
    """Asks a model.

    Args:
        llm: the model.
        folder: of the user's own prompt files.
    """

    def __init__(self, llm: LLM, folder: Path | None = None) -> None:
        self._llm, self._text = llm, prompt_text("propose_answer", folder)

    async def answer(self, question: str, texts: Sequence[str], generator: random.Random) -> str | None:
        """Return what the model says, or None where it says that it does not know.

        Raises:
            ModelError: it did not answer.
        """
        shown = "\n\n".join(f"[{number}] {text}" for number, text in enumerate(texts, 1))
        prompt = Template(self._text).safe_substitute(documents=shown, question=question)
        sampling = Sampling(temperature=0.0, max_tokens=64, seed=generator.randrange(2**31))
        reply = await self._llm.chat([Message(role="user", content=prompt.strip())], sampling=sampling)
        said = _TAG.sub("", reply.text).strip().rstrip(".")
        return None if normalised(said) in ("", UNKNOWN) else said


class Draft(BaseModel):
    """What a model is asked for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str = Field(min_length=1)
    answer: str = Field(min_length=1)


class QuestionMaker:
    """Makes questions about passages of a folder.

    A question passes when its length is in bounds, its answer stands in the passage and not in the question, the search
    tool finds the document by the question, an answerer that reads the passage among others gets the answer, and one
    that reads only others does not.

    Args:
        folder: the documents.
        answerer: reads and answers.
        writer: asks a model for the questions; None leaves a word out of a sentence.
        found_among: how many passages the search may return until it has found the document.
        noise: other passages that the answerer reads, with the document's and without; 4 as published.

    Raises:
        ConfigError: there are no documents, or too few to have others.
    """

    name = "documents"
    categories = ("documents",)

    def __init__(
        self, folder: str, answerer: Answerer, writer: Writer | None = None, found_among: int = 3, noise: int = 4
    ) -> None:
        self._search = Documents(folder)
        self._passages = passages_of(folder)
        if len({passage.document for passage in self._passages}) < 2 or found_among < 1 or noise < 1:
            raise ConfigError(
                f"questions over {folder} need two documents or more, found_among >= 1 and noise >= 1.",
                hint="One document alone cannot show that it is the one that answers.",
            )
        self._answerer, self._writer = answerer, writer
        self._found_among, self._noise = found_among, noise

    async def make(self, category: str, generator: random.Random, examples: Sequence[JsonValue]) -> Attempt:
        """Make one question about a passage."""
        passage = generator.choice(self._passages)
        if self._writer is None:
            asked, draft = None, with_gap(passage, generator)
            if draft is None:
                return refused("nothing_to_ask", f"{passage.document}: no sentence to leave a word out of")
        else:
            shown = generator.sample(list(examples), min(3, len(examples)))
            told = {"document": passage.text, "examples": "\n".join(map(str, shown)) or "(none yet)"}
            writing = await self._writer.write(generator, **told)
            asked = writing.asked
            if not isinstance(writing.form, Draft):
                return Attempt(refusal=writing.refusal, asked=asked)
            draft = Question(writing.form.question.strip(), writing.form.answer.strip())
        return await self._closed(draft, passage, generator, asked)

    async def checked(self, draft: Question, passage: Passage, generator: random.Random) -> Attempt:
        """Return the task of a question that holds, or why it does not.

        Raises:
            Exception: a check failed; see `_closed`.
        """
        wrong = worded_wrong(draft, passage)
        if wrong is not None:
            return wrong
        found = await asyncio.to_thread(self._search.search, draft.question, self._found_among)
        if passage.document not in {document for document, _ in found}:
            return refused("not_found_by_search", passage.document)
        others = [other.text for other in self._passages if other.document != passage.document]
        noise = generator.sample(others, min(self._noise, len(others)))
        texts = [passage.text, *noise]
        generator.shuffle(texts)
        said = await self._answerer.answer(draft.question, texts, generator)
        if said is None or not equal(said, draft.answer):
            return refused("not_answered", said or UNKNOWN)
        said = await self._answerer.answer(draft.question, noise, generator)
        if said is not None and equal(said, draft.answer):
            return refused("answered_without", draft.question)
        keep: JsonValue = f"{draft.question} ({draft.answer})"
        return Attempt(Made(task_of(draft, passage), Said(draft.question), keep))

    async def close(self) -> None:
        """Let go of the index."""
        self._search.close()

    async def _closed(
        self, draft: Question, passage: Passage, generator: random.Random, asked: Asked | None
    ) -> Attempt:
        """Check, and take whatever goes wrong while checking for a refusal: nothing is passed on in doubt."""
        try:
            with boundary(EnvironmentFailure, f"checking a question about {passage.document}"):
                attempt = await self.checked(draft, passage, generator)
        except ModelError as error:
            attempt = refused("model", error.message)
        except LamarckError as error:
            attempt = refused("unchecked", error.message)
        return attempt._replace(asked=asked)


def worded_wrong(draft: Question, passage: Passage) -> Attempt | None:
    """Return why a question's words alone rule it out, or None."""
    if len(draft.question) < SHORTEST or len(draft.question.split()) < WORDS:
        return refused("too_short", f"{len(draft.question.split())} words")
    if len(draft.question) > LONGEST or not 0 < len(draft.answer) <= ANSWER:
        return refused("too_long", f"{len(draft.question)} and {len(draft.answer)} characters")
    answer = f" {normalised(draft.answer)} "
    if not answer.strip():
        return refused("fields", "an answer without a word")
    if answer in f" {normalised(draft.question)} ":
        return refused("answer_in_question", draft.answer)
    if answer not in f" {normalised(passage.text)} ":
        return refused("answer_not_in_document", draft.answer)
    return None


def task_of(draft: Question, passage: Passage) -> Task:
    """Return the task of a question; the passage is not in it, since finding it is the task."""
    return Task(
        id=f"proposed/documents/{content_id(draft.question, draft.answer)[:12]}",
        goal=draft.question,
        environment="proposed",
        options={"world": "questions", "document": passage.document},
        split="train",
        category="documents",
        origin=Origin(kind="proposed", by="documents"),
        truth=draft.answer,
    )


def documents(
    materials: Materials,
    folder: str,
    found_among: int = 3,
    noise: int = 4,
    rule: str = "uniform",
    rule_options: dict[str, Any] | None = None,
) -> Making:
    """Return the proposer of questions over documents, by the model of the materials where there is one."""
    writer, answerer = None, GapAnswerer()  # type: tuple[Writer | None, Answerer]
    if materials.llm is not None:
        writer = Writer(materials.llm, "propose_question", Draft, materials.prompts)
        answerer = ModelAnswerer(materials.llm, materials.prompts)
    return Making(QuestionMaker(folder, answerer, writer, found_among, noise), knowing(materials), rule, rule_options)
