"""How an evolution went: generations, curriculum, health, cost and time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from . import evolution_plots, plots
from .evolution_data import Evolution, Rate, Spent, Stage
from .markup import COLOURS, figure, head, heads, keyed, table
from .plots import Line
from .words import count, counted, duration, interval, number_of, share

SHOWN = 30
"""Generations in a table: the newest, and those that were promoted or alarmed; the others are in the curves."""
DOTS = 40
"""Up to so many generations each of them is marked in a curve."""
DECISIONS = {
    "promote": "promoted",
    "refuse": "refused",
    "not_yet": "not yet",
    "unchanged": "unchanged",
    "ungated": "not weighed",
}
"""How a page calls them."""

Value = Callable[[Stage], float | None]


def generations(page: Evolution) -> str:
    """Return success on held-out games and in training, memory and training of weights, and a table of generations."""
    plotted = _held_out(page) + _trained(page)
    return f'<div class="grid">{plotted}</div>{_table(page)}'


def _held_out(page: Evolution) -> str:
    sides: list[tuple[str, Callable[[Stage], Rate | None]]] = [
        ("in force", lambda one: one.after), ("candidate", lambda one: one.weighed)
    ]  # fmt: skip
    return _rates(page, "p-held-out", "Success on held-out games", sides, first=True)


def _trained(page: Evolution) -> str:
    return _rates(page, "p-trained", "Success in training", [("attempts", lambda one: one.trained)])


def _rates(
    page: Evolution,
    ident: str,
    name: str,
    sides: Sequence[tuple[str, Callable[[Stage], Rate | None]]],
    *,
    first: bool = False,
) -> str:
    """Draw success by generation with its intervals; `first` begins with what was in force before any."""
    found, keys, said = [], [], []
    for series, (side, rate_of) in enumerate(sides):
        rates = [(one.number, rate) for one in page.stages if (rate := rate_of(one)) is not None]
        before = next((one for one in page.stages if one.in_force is not None), None)
        if first and not series and before is not None and before.in_force is not None:
            rates.insert(0, (before.number - 1, before.in_force))
        if not rates:
            continue
        points = [(float(number), rate.value) for number, rate in rates]
        band = [(float(number), rate.low, rate.high) for number, rate in rates]
        found.append(Line(series, points, band, dots=len(points) <= DOTS))
        last = rates[-1][1]
        said.append(f"{side}, last: {interval(last.value, last.low, last.high)} of {last.of}")
        keys.append((f"s{series}", said[-1]))
    if not found:
        return ""
    drawn = plots.lines(ident, name, "; ".join(said), found, names=("generation", ""), share=True)
    return figure(name, "with 95 % intervals", drawn, keyed(keys))


def curves(
    page: Evolution, ident: str, name: str, note: str, series: Sequence[tuple[str, Value]], unit: str = ""
) -> str:
    """Draw figures by generation; nothing where none of them is known."""
    found, keys = [], []
    for number, (label, value_of) in enumerate(series):
        points = [(float(one.number), v) for one in page.stages if (v := value_of(one)) is not None]
        if points:
            found.append(Line(number % COLOURS, points, dots=len(points) <= DOTS))
            said = f"last: {points[-1][1]:,.4g}"
            keys.append((f"s{number % COLOURS}", f"{label}, {said}" if label else said))
    if not found:
        return ""
    drawn = plots.lines(ident, name, "; ".join(said for _, said in keys), found, names=("generation", unit))
    return figure(name, note, drawn, keyed(keys))


def chosen(page: Evolution, also: Callable[[Stage], bool]) -> tuple[list[Stage], str]:
    """Return the generations that a table shows, and a sentence on those it does not."""
    stages = page.stages
    if len(stages) <= SHOWN:
        return list(stages), ""
    newest = {one.number for one in stages[-SHOWN // 2 :]}
    others = [one.number for one in stages if one.number not in newest and also(one)]
    kept = newest | set(others[-(SHOWN - len(newest)) :])
    told = f"{len(kept)} of {len(stages)} generations are in this table; the curves and --json have all of them."
    return [one for one in stages if one.number in kept], f'<p class="quiet">{told}</p>'


def _table(page: Evolution) -> str:
    shown, told = chosen(page, lambda one: one.decision == "promote" or bool(one.alarms))
    money = any(one.cost_usd for one in page.stages)
    columns = ["generation", "in training", "held out, in force", "candidate", "items", "weights", "tokens"]
    columns += [*(["USD"] if money else []), "time", "decision"]
    rows = []
    for one in shown:
        cells = [_rate(one.trained), _rate(one.in_force), _rate(one.weighed)]
        held = one.items.get("candidate", 0) + one.items.get("active", 0)
        cells += [
            f"{held:,}" if one.items else "-",
            "trained" if one.adapter else "-",
            count(one.tokens) if one.tokens else "-",
        ]
        cells += [*([number_of(one.cost_usd, 4)] if money else []), duration(one.seconds)]
        cells.append(DECISIONS.get(one.decision or "", "goes on") + (", alarm" if one.alarms else ""))
        rows.append((False, head(str(one.number)), cells))
    return table(heads(columns), rows) + told


def _rate(rate: Rate | None) -> str:
    return f"{rate.solved}/{rate.of}, {interval(rate.value, rate.low, rate.high)}" if rate is not None else "-"


def curriculum(page: Evolution) -> str:
    """Return which tasks were asked for in which generation."""
    stages = [one for one in page.stages if one.curriculum]
    if not stages:
        return ""
    total: dict[str, int] = {}
    for one in stages:
        for name, number in one.curriculum.items():
            total[name] = total.get(name, 0) + number
    most = sorted(total, key=lambda name: (-total[name], name))
    said = ", ".join(f"{name} {total[name]:,}" for name in most[:8])
    asked = [one.curriculum for one in stages]
    drawn = evolution_plots.grid("p-curriculum", "Tasks by category", said, [one.number for one in stages], asked)
    plot = figure("Tasks by category", "the darker, the larger its share of a generation", drawn)
    rows = [
        (False, head(name), [f"{total[name]:,}", share(total[name] / sum(total.values())), *_ends(stages, name)])
        for name in most[:SHOWN]
    ]
    others = counted(len(most) - SHOWN, "more category", "more categories")
    more = f'<p class="quiet">and {others}</p>' if len(most) > SHOWN else ""
    side = table(heads(["category", "tasks", "share", "first generation", "last generation"]), rows, "prose")
    return f'<div class="grid">{plot}<div>{side}{more}{_declined(page)}</div></div>'


def _declined(page: Evolution) -> str:
    """Return why the proposer refused tasks that it had made, as a mean share of all it made."""
    found = [one.declined for one in page.stages if one.declined]
    if not found:
        return ""
    mean = {why: sum(one.get(why, 0.0) for one in found) / len(found) for one in found for why in one}
    rows = [
        (False, head(why.replace("_", " ")), [share(mean[why])]) for why in sorted(mean, key=lambda w: (-mean[w], w))
    ]
    return "<h3>Refused by the proposer</h3>" + table(heads(["why", "share of what it made"]), rows)


def _ends(stages: Sequence[Stage], name: str) -> list[str]:
    return [share(one.curriculum.get(name, 0) / sum(one.curriculum.values())) for one in (stages[0], stages[-1])]


def health(page: Evolution) -> str:
    """Return the signs of a collapse by generation, and every alarm that rang."""
    drawn = curves(page, "p-reward", "Reward in training", "mean of an attempt", [("", lambda one: one.reward)])
    drawn += curves(page, "p-entropy", "Entropy", "nats per token", [("", lambda one: one.entropy)])
    note = "effective number of different ones"
    drawn += curves(page, "p-different", "Different actions", note, [("", lambda one: one.different)])
    drawn += curves(page, "p-loss", "Loss of training", "where weights were trained", [
        ("first", lambda one: one.loss[0] if one.loss else None),
        ("last", lambda one: one.loss[1] if one.loss else None),
    ])  # fmt: skip
    names = {
        "accuracy": "accuracy",
        "accepts_wrong": "accepts wrong",
        "rejects_right": "rejects right",
        "weight": "weight",
    }

    def told_by(name: str) -> Value:
        return lambda one: one.verifier.get(name)

    note = "share of what is known to be true; weight of its word"
    drawn += curves(page, "p-verifier", "Verifier", note, [(said, told_by(name)) for name, said in names.items()])
    rung = [(one.number, alarm) for one in page.stages for alarm in one.alarms]
    rows = [(False, head(str(number)), [alarm.name, alarm.sentence]) for number, alarm in rung[-SHOWN:]]
    told = (
        table(heads(["generation", "alarm", "why"]), rows, "prose") if rows else '<p class="quiet">No alarm rang.</p>'
    )
    if len(rung) > SHOWN:
        told += f'<p class="quiet">The newest {SHOWN} of {len(rung)} alarms.</p>'
    return f'{told}<div class="grid">{drawn}</div>' if drawn else told


def cost(page: Evolution) -> str:
    """Return what each phase took, and the time of each generation."""
    phases = list(dict.fromkeys(phase for one in page.stages for phase in one.spent))
    total = {phase: _sum([one.spent[phase] for one in page.stages if phase in one.spent]) for phase in phases}
    whole, times = _sum(list(total.values())), [one for one in page.stages if one.spent]
    if not times:
        return ""
    rows = []
    for phase, part in [*total.items(), ("all phases", whole)]:
        cells = [duration(part.seconds), share(part.seconds / whole.seconds if whole.seconds else float("nan"))]
        cells += [duration(part.seconds / len(times)), f"{part.tokens:,}" if part.tokens else "-"]
        cells.append(number_of(part.cost_usd, 4) if part.cost_usd else "-")
        rows.append((phase == "all phases", head(phase), cells))
    side = table(heads(["phase", "time", "share", "per generation", "tokens", "USD"]), rows)
    longest = sorted(total, key=lambda phase: -total[phase].seconds)[: COLOURS - 1]
    minutes = whole.seconds / len(times) >= 300
    unit, scale = ("min", 60.0) if minutes else ("s", 1.0)
    found = [(name, [one.spent.get(name, Spent()).seconds / scale for one in times]) for name in longest]
    rest = [sum(part.seconds for name, part in one.spent.items() if name not in longest) / scale for one in times]
    found += [("others", rest)] if any(rest) else []
    said = ", ".join(f"{name} {duration(total[name].seconds)}" for name in longest)
    drawn = evolution_plots.stacks("p-time", "Time by phase", said, [one.number for one in times], found, unit=unit)
    plot = figure("Time by phase", "", drawn, keyed((f"s{n % COLOURS}", name) for n, (name, _) in enumerate(found)))
    skipped = _skipped(page)
    return f'<div class="grid">{plot}<div>{side}{skipped}</div></div>'


def _sum(parts: Sequence[Spent]) -> Spent:
    return Spent(sum(p.seconds for p in parts), sum(p.tokens for p in parts), sum(p.cost_usd for p in parts))


def _skipped(page: Evolution) -> str:
    found: dict[tuple[str, str], list[int]] = {}
    for one in page.stages:
        for phase, why in one.skipped.items():
            found.setdefault((phase, why), []).append(one.number)
    rows = [(False, head(phase), [why, spans(numbers)]) for (phase, why), numbers in sorted(found.items())]
    return (
        "<h3>Phases that were left out</h3>" + table(heads(["phase", "why", "generations"]), rows, "prose")
        if rows
        else ""
    )


def spans(numbers: Sequence[int]) -> str:
    """Return whole numbers that rise, neighbours together: `1 to 4, 7`."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1][1:] = [number]
        else:
            parts.append([number])
    return ", ".join(" to ".join(map(str, part)) for part in parts)
