"""HotpotQA in the distractor setting: searching a question's own ten paragraphs, then answering.

Yang et al. 2018, "HotpotQA: A Dataset for Diverse, Explainable Multi-hop Question Answering"; the three actions are
those of Yao et al. 2023 (ReAct), who searched Wikipedia with them.
"""

from __future__ import annotations

import functools
import re
import string
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...core import Origin, Task
from ...errors import ConfigError, EnvironmentFailure
from ...seams import Environment
from .hotpot_made import Question, made
from .replay import Progress, check_solutions
from .rows import read_rows

MADE = ("train", "valid", "test")
MAX_STEPS = 8
OPEN = ("search[<entity>]", "lookup[<words>]", "finish[<answer>]")
CLOSED = ("yes", "no", "noanswer")
"""Answers that are right or wrong as a whole: sharing a word with them earns nothing."""
SIMILAR = 5
_ACTION = re.compile(r"\s*(search|lookup|finish)\s*\[(.*)\]\s*", re.IGNORECASE | re.DOTALL)
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")


class HotpotTaskset:
    """Questions that take two paragraphs to answer.

    Args:
        data: file of JSON lines, or of one JSON list, with HotpotQA's fields; questions are made if not given.
        count: questions per split, where they are made.
        max_steps: steps after which an episode is truncated.
        titles: list a search for each paragraph's title among the admissible actions, for protocol `choice`; whoever
            writes actions is then told which titles there are.

    Raises:
        ConfigError: a number is below its least.
    """

    name = "hotpotqa"

    def __init__(
        self, data: str | None = None, count: int = 100, max_steps: int = MAX_STEPS, titles: bool = True
    ) -> None:
        if count < 1 or max_steps < 1:
            raise ConfigError(f"hotpotqa needs count >= 1 and max_steps >= 1, not {count} and {max_steps}.")
        self._data = Path(data).expanduser() if data is not None else None
        self._count, self._max_steps, self._titles = count, max_steps, titles

    def splits(self) -> list[str]:
        """Return the splits; a file whose rows name none has `valid` alone."""
        return list(MADE) if self._data is None else sorted({split for split, _ in self._read})

    def tasks(self, split: str, *, seed: int = 0, limit: int | None = None) -> list[Task]:
        """Return the questions of a split.

        Raises:
            ConfigError: there is no such split, or the file is none of HotpotQA's.
        """
        if split not in self.splits():
            raise ConfigError(f"hotpotqa has no split {split!r}; there are: {', '.join(self.splits())}.")
        if self._data is not None:
            found = [(n, question) for n, (own, question) in enumerate(self._read) if own == split][:limit]
        else:
            wanted = self._count if limit is None else min(limit, self._count)
            found = [(n, made(split, seed, n)) for n in range(wanted)]
        return [
            Task(
                id=f"{self.name}/{question.ident}",
                goal=question.question,
                environment=self.name,
                options={"index": n, "seed": seed},
                split=split,
                category=question.kind,
                truth=question.answer,
                origin=Origin(by=self.name),
            )
            for n, question in found
        ]

    def environment(self) -> Environment:
        """Return an environment for every question of this set."""
        return Reading(self.question, self._max_steps, self._titles)

    def question(self, task: Task) -> Question:
        """Return the question of a task.

        Raises:
            EnvironmentFailure: the task is not one of this set.
        """
        index, seed = task.options.get("index"), task.options.get("seed")
        if isinstance(index, int) and isinstance(seed, int):
            if self._data is None:
                found = made(task.split, seed, index)
            else:
                found = self._read[min(index, len(self._read) - 1)][1]
            if task.id == f"{self.name}/{found.ident}":
                return found
        raise EnvironmentFailure(f"task {task.id} is no question of this set.", kind="contract")

    def walkthrough(self, task: Task) -> tuple[str, ...]:
        """Return searches for the paragraphs that are needed, and the right answer."""
        question = self.question(task)
        return (*(f"search[{title}]" for title in question.support), f"finish[{question.answer}]")

    def check(
        self, split: str | None = None, limit: int | None = None, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Look the needed paragraphs up and give the right answer: every question must count as solved.

        Raises:
            ConfigError: there is no such split.
        """
        return check_solutions(
            self.environment(), self.tasks(split or self.splits()[0], limit=limit), self.walkthrough, progress
        )

    @functools.cached_property
    def _read(self) -> list[tuple[str, Question]]:
        assert self._data is not None
        hint = "Pass a file with id, question, answer and context in every row."
        return read_rows(self._data, "HotpotQA questions", _question, hint=hint)


class Reading:
    """One question over ten paragraphs.

    Args:
        question_of: from a task to its question.
        max_steps: after this many steps the episode is truncated.
        titles: whether searches for the titles are listed.
    """

    concurrency = "inline"

    def __init__(self, question_of: Callable[[Task], Question], max_steps: int, titles: bool) -> None:
        self._question_of, self.max_steps, self._titles = question_of, max_steps, titles
        self._question: Question | None = None
        self._page = self._steps = 0
        self._sought, self._hits = "", 0

    def reset(self, *, seed: int | None = None, task: Task | None = None) -> tuple[str, dict[str, Any]]:
        """Show the question alone.

        Raises:
            EnvironmentFailure: there is no task, or it is not one of the set.
        """
        if task is None:
            raise EnvironmentFailure("a question needs a task.", kind="task")
        self._question = self._question_of(task)
        self._page, self._steps, self._sought, self._hits = -1, 0, "", 0
        return f"Question: {self._question.question}", {**self._offered(), "success": False, "score": 0.0}

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Search, look up or answer. The reward is 1 for an answer that matches exactly.

        Raises:
            EnvironmentFailure: there is no episode to step in.
        """
        if self._question is None or self._steps >= self.max_steps:
            raise EnvironmentFailure("step without an episode under way: reset first.", kind="order")
        self._steps += 1
        truncated = self._steps >= self.max_steps
        found = _ACTION.fullmatch(action)
        if found is None:
            text = "That is no action. There are search[entity], lookup[words] and finish[answer]."
            return text, 0.0, False, truncated, {**self._offered(), "effective": False}
        kind, words = found[1].lower(), found[2].strip()
        if kind == "finish":
            answer, self._question = self._question.answer, None
            exact, score = exact_match(words, answer), f1(words, answer)
            told = {"success": exact, "score": score, "answer": words}
            return f"Answered: {words}", float(exact), True, False, told
        text = self._search(words) if kind == "search" else self._lookup(words)
        return text, 0.0, False, truncated, self._offered()

    def snapshot(self) -> tuple[Any, ...]:
        """Return the state of the episode."""
        return self._question, self._page, self._steps, self._sought, self._hits

    def restore(self, state: tuple[Any, ...]) -> None:
        """Go back to a snapshot."""
        self._question, self._page, self._steps, self._sought, self._hits = state

    def _search(self, words: str) -> str:
        pages = self._pages()
        self._sought, self._hits = "", 0
        wanted = normalised(words)
        for number, (title, sentences) in enumerate(pages):
            if normalised(title) == wanted:
                self._page = number
                return f"{title}: {_joined(sentences)}"
        terms = set(wanted.split())
        shares = [
            2 * len(terms & set(normalised(title).split())) + len(terms & set(normalised(_joined(text)).split()))
            for title, text in pages
        ]
        best = sorted((n for n, share in enumerate(shares) if share), key=lambda n: (-shares[n], n))[:SIMILAR]
        similar = "; ".join(pages[n][0] for n in best) or "nothing"
        return f"There is no page {words}. Similar: {similar}."

    def _lookup(self, words: str) -> str:
        if self._page < 0:
            return "Search for a page first."
        if words.casefold() != self._sought:
            self._sought, self._hits = words.casefold(), 0
        sentences = self._pages()[self._page][1]
        found = [sentence.strip() for sentence in sentences if self._sought and self._sought in sentence.casefold()]
        if self._hits >= len(found):
            return f"No more results for {words}." if found else f"There is no {words} on this page."
        self._hits += 1
        return f"(Result {self._hits} of {len(found)}) {found[self._hits - 1]}"

    def _pages(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        assert self._question is not None
        return self._question.paragraphs

    def _offered(self) -> dict[str, Any]:
        searches = [f"search[{title}]" for title, _ in self._pages()] if self._titles else []
        return {"admissible_actions": [*OPEN, *searches]}


def normalised(text: str) -> str:
    """Return an answer as the published evaluation compares it.

    In lower case, without punctuation and articles, with single spaces between words.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(given: str, truth: str) -> bool:
    """Say whether two answers are the same once normalised."""
    return normalised(given) == normalised(truth)


def f1(given: str, truth: str) -> float:
    """Return the harmonic mean of precision and recall over the words of two normalised answers, from 0 to 1.

    As in the evaluation script of Yang et al. 2018: yes and no match only themselves.
    """
    one, other = normalised(given), normalised(truth)
    if one != other and (one in CLOSED or other in CLOSED):
        return 0.0
    words, wanted = one.split(), other.split()
    shared = sum((Counter(words) & Counter(wanted)).values())
    return 2 * shared / (len(words) + len(wanted)) if shared else 0.0


def _joined(sentences: tuple[str, ...]) -> str:
    return " ".join(sentence.strip() for sentence in sentences)


def _question(row: dict[str, Any]) -> tuple[str, Question]:
    """Return split and question of a row, of the published file or of the form with parallel lists."""
    context, facts = row["context"], row.get("supporting_facts", ())
    pairs = zip(context["title"], context["sentences"], strict=True) if isinstance(context, dict) else context
    titles = facts["title"] if isinstance(facts, dict) else [title for title, _ in facts]
    return str(row.get("split", "valid")), Question(
        ident=str(row["id"] if "id" in row else row["_id"]),
        question=str(row["question"]),
        answer=str(row["answer"]),
        kind=str(row.get("type", "question")),
        paragraphs=tuple((str(title), tuple(map(str, sentences))) for title, sentences in pairs),
        support=tuple(dict.fromkeys(map(str, titles))),
    )
