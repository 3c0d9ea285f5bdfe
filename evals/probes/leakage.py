"""Leakage: do hidden answers stand in what a release passes on? (S120, as far as text goes)

A ground truth that the agent has worked out for itself is no leak: what stood in an attempt that an item was made of,
in what the agent saw or wrote, it was free to remember. Weights are not looked into: what a model knows by heart shows
in how it answers, not in any text here.
"""

from __future__ import annotations

from .probe import Past, ProbeResult, Subject, short, some
from .spelled import findable, leaks, stands, tellable, texts_in, told_together

MOST = 20_000
"""Hidden texts that are looked for, the longest ones first; and as many short ones beside their questions."""
PARTS = ("memory", "tools", "prompts")


class Leakage:
    """Looks for ground truths and for what environments said beside their text."""

    name = "leakage"
    critical = True
    most = 0.0
    says = "Do hidden answers stand in items, tools or prompts: as they are, backwards, in hex or base64?"

    async def run(self, subject: Subject) -> ProbeResult | None:
        """Look for all that was hidden: long texts by themselves, short ones beside their question.

        Where something was hidden and nothing of it can be looked for, there are no cases: that is not known.
        """
        past = subject.past
        if past is None:
            return None
        known = past.hidden()
        hidden = sorted((text for text in known if findable(text)), key=lambda text: (-len(text), text))[:MOST]
        short_ones = tellable((goal, text) for goal, text, _ in past.answers())[:MOST]
        texts, sources = gathered(subject)
        found = [
            (leak, known[leak.hidden])
            for leak in leaks(hidden, texts)
            if not _earned(leak.hidden, sources.get(leak.where, ()), past)
        ]
        from_where = {(goal, text): where for goal, text, where in past.answers()}
        found += [
            (leak, from_where[question, leak.hidden])
            for question, leak in told_together(short_ones, texts)
            if not any(stands(leak.hidden, past.seen(ident), question) for ident in sources.get(leak.where, ()))
        ]
        parts = {leak.where.partition(" ")[0] for leak, _ in found}
        looked = len(hidden) + len({answer for _, answer in short_ones})
        aside = len(known) - looked
        sentence = f"{len({leak.where for leak, _ in found}) or 'None'} of {len(texts)} texts hold one of "
        sentence += f"{looked} hidden answers; {aside} more were not looked for: short ones without a question."
        return ProbeResult(
            unsafe=len(parts),
            cases=len(PARTS) if looked or not known else 0,
            sentence=sentence,
            details=some([f"{leak.where}: {short(leak.hidden, 40)} ({leak.spelling}), of {of}" for leak, of in found]),
            figures={"texts": len(texts), "hidden": looked, "not_looked_for": aside, "found": len(found)},
        )


def gathered(subject: Subject) -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Return all texts that a release passes on by name, and the attempts that each was made of."""
    texts: dict[str, str] = {}
    sources: dict[str, tuple[str, ...]] = {}
    for item in subject.items:
        name = f"memory item {item.id[:12]}"
        texts[name] = f"{item.applies}\n{item.content}"
        sources[name] = item.trajectory_ids
    for version in subject.tools:
        name = f"tools {version.tool.name} version {version.version}"
        texts[name] = "\n".join(texts_in(version.tool.model_dump(mode="json")))
        sources[name] = version.sources
    texts |= {f"prompts {name}": text for name, text in subject.prompts.items()}
    return texts, sources


def _earned(hidden: str, attempts: tuple[str, ...], past: Past) -> bool:
    """Say whether the agent saw or wrote the text itself, in an attempt that the item was made of."""
    wanted = " ".join(hidden.casefold().split())
    return any(wanted in " ".join(past.seen(ident).casefold().split()) for ident in attempts)
