"""The report of an evolution: one HTML file that needs no script, and what matters most on it."""

from __future__ import annotations

from pathlib import Path

from . import evolution_course as course
from . import evolution_gate as gate
from . import evolution_learned as learned
from .evolution_data import Evolution, Rate
from .facts_list import facts_list
from .frame import framed, section
from .frame import write as write_framed
from .texts import escaped
from .words import counted, duration, number_of, share

RUNG = 6
"""Alarms that stand at the top, the newest."""


def render(page: Evolution) -> str:
    """Return the HTML of the report. Everything from the evolution is text; no script runs on the page."""
    found = [
        ("generations", "Generations", course.generations(page)),
        ("releases", "Releases", gate.releases(page)),
        ("learned", "What was learned", learned.memory(page)),
        ("curriculum", "Curriculum", course.curriculum(page)),
        ("refused", "What was refused, and why", gate.refused(page)),
        ("alarms", "Alarms and signs of collapse", course.health(page)),
        ("cost", "Cost and time", course.cost(page)),
        ("facts", "How to believe and repeat it", _facts(page)),
    ]
    there = [one for one in found if one[2]]
    return framed(
        kicker="Evolution report",
        title=page.title,
        version=page.version,
        made_at=page.made_at,
        lead=lead(page),
        nav=[(ident, name) for ident, name, _ in there],
        body="\n".join(section(*one) for one in there),
        skip=("generations", "Skip to the generations"),
    )


def write(page: Evolution, path: Path) -> int:
    """Write the report whole or not at all; return its size in bytes.

    Raises:
        ConfigError: the file cannot be written.
    """
    return write_framed(render(page), path)


def lead(page: Evolution) -> str:
    """Return the figures that matter most, the outcome in a sentence, and the newest alarms."""
    weighed = [one for one in page.stages if one.in_force is not None]
    decided = [one.decision for one in page.stages]
    shown = [(f"{len(page.ended)} of {page.planned}", "generation" if page.planned == 1 else "generations")]
    if weighed:
        shown.insert(0, (_rate(weighed[0].in_force), "held out, in force at first"))
        shown.insert(1, (_rate(weighed[-1].after), "held out, in force now"))
    shown += [(str(decided.count(name)), said) for name, said in course.DECISIONS.items() if name in decided]
    items = next((one.items for one in reversed(page.stages) if one.items), {})
    if items:
        held, noun = counted(items.get("candidate", 0) + items.get("active", 0), "memory item").split(" ", 1)
        shown.append((held, f"{noun}, newest generation"))
    tokens, cost = sum(one.tokens for one in page.stages), sum(one.cost_usd for one in page.stages)
    shown += [(f"{tokens:,}", "tokens")] if tokens else []
    shown += [(number_of(cost, 4), "USD")] if cost else []
    shown.append((duration(sum(one.seconds for one in page.stages)), "of work"))
    keys = "".join(f'<p class="key"><b>{value}</b><span>{escaped(said)}</span></p>' for value, said in shown)
    brief = " · ".join(escaped(text) for text in _brief(page))
    told = f'<p class="verdict">{escaped(outcome(page))}</p>'
    rung = [(one.number, alarm) for one in page.stages for alarm in one.alarms]
    for number, alarm in rung[-RUNG:]:
        text = f"Alarm in generation {number}, {alarm.name}: {alarm.sentence}"
        told += f'<p class="verdict warn">{escaped(text)}</p>'
    if len(rung) > RUNG:
        others = counted(len(rung) - RUNG, "earlier alarm stands", "earlier alarms stand")
        told += f'<p class="quiet">{others} below.</p>'
    return f'<div class="lead"><div class="run">{keys}<p class="brief">{brief}</p></div></div>{told}'


def outcome(page: Evolution) -> str:
    """Return what came of the evolution in a sentence."""
    promoted = [one for one in page.stages if one.decision == "promote"]
    head = page.head
    if not promoted:
        return (
            "Nothing was promoted: the release that was in force at first still is."
            if _first(page)
            else ("No candidate was promoted by the gate; what is in force was put there by hand.")
        )
    made = f", made in generation {head.generation}" if head is not None and head.generation else ""
    named = head.id[:12] if head is not None else "none"
    numbers = [str(one.number) for one in promoted]
    said = f"generation {numbers[0]}"
    if len(numbers) > 1:
        said = f"{len(numbers)} generations, the last of them {numbers[-1]}"
    return f"In force is release {named}{made}. The gate promoted the candidate of {said}."


def _first(page: Evolution) -> bool:
    return page.head is None or page.head.parent is None


def _brief(page: Evolution) -> list[str]:
    names = ("model", "learns", "gate", "grown from", "seeds")
    return [f"{name} {page.facts[name]}" for name in names if name in page.facts]


def _rate(rate: Rate | None) -> str:
    if rate is None:
        return "-"
    return f"{share(rate.value)} <small>[{100 * rate.low:.1f}, {100 * rate.high:.1f}]</small>"


def _facts(page: Evolution) -> str:
    notes = "".join(f"<li>{escaped(note)}</li>" for note in page.notes)
    settings = f"<pre>{escaped(page.settings)}</pre>"
    settings = f"<details><summary>All settings, as evolve.toml has them</summary>{settings}</details>"
    return (
        f'<div class="facts"><div>{facts_list(page.facts)}</div>'
        f'<div><ul class="notes">{notes}</ul>{settings}</div></div>'
    )
