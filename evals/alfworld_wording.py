"""The sentences of an ALFWorld game, read out of its grammar as data.

A game file brings its own grammar (TWL2). The stock engine evaluates Python expressions found in it; here the text is
taken apart into literals and a closed set of known placeholders, and anything else is refused.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ..errors import EnvironmentFailure

Parts = tuple[tuple[bool, str], ...]
"""(is literal, text or placeholder) in order."""

_TASK = re.compile(r'("task"\s*:\s*\[\s*\{\s*"rhs"\s*:\s*)("(?:[^"\\]|\\.)*")')
_ACTION = re.compile(r"^action\s+(\w+)\s*\{(.*?)^\}", re.MULTILINE | re.DOTALL)
_GRAMMAR = re.compile(r'grammar\s*::\s*"""(.*?)"""', re.DOTALL)
_TEMPLATE = re.compile(r'template\s*::\s*"((?:[^"\\]|\\.)*)"\s*;')
_FEEDBACK = re.compile(r'feedback\s*::\s*"((?:[^"\\]|\\.)*)"\s*;', re.DOTALL)
_TOKEN = re.compile(r"(\[\{.*?\}\]|\{[^{}]*\}|#[\w.\-]+(?:\([^)]*\))?#)", re.DOTALL)
_PUT = re.compile(r'action\s+PutObject\s*\{\s*template\s*::\s*"(\w+)')
_ATOM = re.compile(r"(\w+)\(\w+:\w+\)")

_NAME, _A = "{%s.name}", "{%s.indefinite+''+%s.name}"
_LOOK_AT = "atlocation(a:agent,l:location)&receptacleatlocation(r:receptacle,l:location)"
_FLOOR = (
    "atlocation(a:agent,l:location)&objectatlocation(o:object,l:location)"
    "&receptacleatlocation(r:receptacle,l:location)&not_inreceptacle(o:object,r:receptacle)"
)
_EXAMINE = "#examineReceptacle.feedback#"
_CONTENTS = "[{o.indefinite+''+o.name|inreceptacle(o:object,r:receptacle)}]"

PLACEHOLDERS: Mapping[str, frozenset[str]] = {
    "intro": frozenset({"#look.feedback#", "#task#"}),
    "task": frozenset(),
    "GotoLocation.feedback": frozenset({"{r.name}", "{lend.name}", _EXAMINE}),
    "OpenObject.feedback": frozenset({"{r.name}", _EXAMINE}),
    "CloseObject.feedback": frozenset({"{r.name}"}),
    "PickupObject.feedback": frozenset({"{o.name}", "{r.name}"}),
    "PutObject.feedback": frozenset({"{o.name}", "{r.name}"}),
    "inventory.feedback": frozenset({"[{o.indefinite+''+o.name|holds(a:agent,o:object)}]"}),
    "examineReceptacle.feedback": frozenset({"{r.name}", _CONTENTS}),
    "examineObject.feedback": frozenset(
        {"{o.name}", "[{o2.indefinite+''+o2.name|inreceptacleobject(o2:object,o:object)}]"}
    ),
    "toggleObject.feedback": frozenset({"{o.name}"}),
    "heatObject.feedback": frozenset({"{o.name}", "{r.name}"}),
    "cleanObject.feedback": frozenset({"{o.name}", "{r.name}"}),
    "coolObject.feedback": frozenset({"{o.name}", "{r.name}"}),
    "sliceObject.feedback": frozenset({"{co.name}", "{ko.name}"}),
    "look.feedback": frozenset({"#look-variations#", "#list_objects_on_the_floor#", "#list_appliances#"}),
    "look-variations": frozenset({f"[{{r.name|{_LOOK_AT}}}]"}),
    "list_objects_on_the_floor": frozenset({f"[{{#overview(o)#|{_FLOOR}}}]"}),
    "list_appliances": frozenset({"[{#overview(r)#|receptacleatlocation(r:receptacle,l:location)}]"}),
    "overview(o)": frozenset({"{o.indefinite}", "{o.name}"}),
    "overview(r)": frozenset({"{r.indefinite}", "{r.nameorr.id}", "{r.name}"}),
    "list_empty": frozenset(),
    "list_separator": frozenset(),
    "list_last_separator": frozenset(),
    "help.feedback": frozenset(),
}
"""For every symbol that can be shown, the placeholders its sentences may hold (written without spaces)."""

_RELATIONS = {
    "look.feedback": (_LOOK_AT, ""),
    "list_objects_on_the_floor": (_FLOOR, ""),
    "list_appliances": ("receptacleatlocation(r:receptacle,l:location)", ""),
}
"""Conditions over several variables, which must read exactly so."""

_ONE = {
    "inventory.feedback": frozenset({"holdsany"}),
    "examineReceptacle.feedback": frozenset({"openable", "opened"}),
    "examineObject.feedback": frozenset(
        {
            *("isreceptacleobject", "isclean", "ishot", "iscool", "issliced", "sliceable"),
            *("toggleable", "istoggled", "not_istoggled"),
        }
    ),
    "toggleObject.feedback": frozenset({"toggleable", "istoggled"}),
}
"""Predicates of one variable that conditions may use, in any combination."""

_SLOTS = {
    "GotoLocation": ("go to",),
    "OpenObject": ("{r}",),
    "CloseObject": ("{r}",),
    "PickupObject": ("{o}", "{r}"),
    "PutObject": ("{o}", "{r}"),
    "examineReceptacle": ("{r}",),
    "examineObject": ("{o}",),
    "ToggleObject": ("{o}",),
    "HeatObject": ("{o}", "{r}"),
    "CleanObject": ("{o}", "{r}"),
    "CoolObject": ("{o}", "{r}"),
    "SliceObject": ("{co}", "{ko}"),
    "look": (),
    "inventory": (),
    "help": (),
}
"""Actions and the slots of their command templates."""

_GOTO = re.compile(r"^(.*?)\[\{r\.name\|receptacleatlocation\(r:receptacle,lend:location\)\}\]$")


class Rule(NamedTuple):
    """One way to say something, and when."""

    needs: frozenset[str]
    """Predicates that must hold of the variable in question; empty when it always fits."""
    parts: Parts


@dataclass(frozen=True)
class Wording:
    """All sentences and command templates of a grammar, without the task sentence."""

    rules: Mapping[str, tuple[Rule, ...]]
    commands: Mapping[str, str]
    """Action name to command with `{}` for each slot, in the order the action has them."""
    feedback: Mapping[str, str]
    """Action name to the symbol that answers it."""

    def say(self, symbol: str, values: Mapping[str, str], facts: frozenset[str] | set[str] = frozenset()) -> str:
        """Return the first sentence of `symbol` whose predicates are all among `facts`."""
        for rule in self.rules[symbol]:
            if rule.needs <= facts:
                return "".join([text if literal else values[text] for literal, text in rule.parts])
        raise EnvironmentFailure(f"the grammar has nothing to say for {symbol}.", kind="grammar")

    def join(self, items: list[str]) -> str:
        """Return items as the grammar lists them."""
        if not items:
            return self._plain("list_empty")
        if len(items) == 1:
            return items[0]
        head = self._plain("list_separator").join(items[:-1])
        return head + self._plain("list_last_separator") + items[-1]

    @property
    def grammar(self) -> str:
        """`put` for the wording of old releases, else the first word of the command that puts things down."""
        return self.commands["PutObject"].split(" ", 1)[0] if "PutObject" in self.commands else ""

    def _plain(self, symbol: str) -> str:
        return "".join(text for _, text in self.rules[symbol][0].parts)


def read_wording(text: str, name: str) -> tuple[Wording, str]:
    """Return the wording of a grammar and its task sentence.

    Raises:
        EnvironmentFailure: the text is no such grammar, or says something this engine does not know.
    """
    task = _TASK.search(text)
    if task is None:
        raise _refused(name, "it has no task sentence")
    sentence = json.loads(task[2])
    try:
        return _read(text[: task.start(2)] + '""' + text[task.end(2) :]), str(sentence).lstrip()
    except EnvironmentFailure as error:
        raise _refused(name, error.message) from None


def task_sentence(text: str) -> tuple[str, str]:
    """Return the goal in a grammar's task sentence, and how the grammar says to put things down, at little cost.

    Returns:
        The goal without its lead and final period, and `move` or `put`; empty texts for what is not found.
    """
    task = _TASK.search(text)
    goal = goal_of(str(json.loads(task[2]))) if task else ""
    put = _PUT.search(text)
    return goal, put[1] if put else ""


def goal_of(sentence: str) -> str:
    """Return `put a cup in shelf` for `Your task is to: put a cup in shelf.`"""
    return re.sub(r"^[^:]*:\s*", "", sentence).strip().rstrip(".")


@functools.lru_cache(maxsize=16)
def _read(text: str) -> Wording:
    """Read a grammar that has no task sentence in it; all games of a release share one."""
    first = text.find("\naction ")
    top = _GRAMMAR.search(text, 0, first if first >= 0 else len(text))
    if top is None:
        raise EnvironmentFailure("it has no grammar block")
    symbols: dict[str, Any] = _json(top[1])
    commands: dict[str, str] = {}
    feedback: dict[str, str] = {}
    for action, body in _ACTION.findall(text):
        if own := _GRAMMAR.search(body):
            symbols |= _json(own[1])
            body = body[: own.start()] + body[own.end() :]
        template, answer = _TEMPLATE.search(body), _FEEDBACK.search(body)
        if action not in _SLOTS or template is None or answer is None:
            continue
        commands[action] = _command(action, template[1])
        symbol = answer[1]
        if re.fullmatch(r"#[\w.\-]+#", symbol):
            feedback[action] = symbol.strip("#")
        else:
            feedback[action] = f"{action}.feedback"
            symbols[feedback[action]] = [{"rhs": symbol}]
    rules = {name: _rules(name, symbols[name]) for name in PLACEHOLDERS if name in symbols}
    missing = [symbol for symbol in ("intro", "look.feedback", "list_empty", *feedback.values()) if symbol not in rules]
    if missing:
        raise EnvironmentFailure(f"the symbol {missing[0]} is missing or unknown")
    return Wording(rules, commands, feedback)


def _json(text: str) -> dict[str, Any]:
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("#")]
    try:
        return dict(json.loads("\n".join(lines)))
    except ValueError as error:
        raise EnvironmentFailure(f"a grammar block is not JSON ({error})") from None


def _command(action: str, template: str) -> str:
    if action == "GotoLocation":
        found = _GOTO.match(re.sub(r"\s*([|(),:\]])\s*", r"\1", template).replace("lend :", "lend:"))
        if found is None:
            raise EnvironmentFailure(f"the template of {action} is {template!r}")
        return found[1] + "{}"
    slots = re.findall(r"\{[^}]*\}", template)
    if tuple(slots) != _SLOTS[action]:
        raise EnvironmentFailure(f"the template of {action} is {template!r}")
    return re.sub(r"\{[^}]*\}", "{}", template)


def _rules(symbol: str, entries: list[dict[str, Any]]) -> tuple[Rule, ...]:
    rules = []
    for number, entry in enumerate(entries):
        condition = "".join(str(entry.get("condition", "")).split())
        rules.append(Rule(_needs(symbol, number, condition), _parts(symbol, str(entry["rhs"]))))
    return tuple(rules)


def _needs(symbol: str, number: int, condition: str) -> frozenset[str]:
    if symbol in _RELATIONS:
        known = _RELATIONS[symbol]
        if number >= len(known) or condition != known[number]:
            raise EnvironmentFailure(f"{symbol} has the unknown condition {condition!r}")
        # The engine itself says whether the relation holds, under one word.
        return frozenset({"yes"}) if condition else frozenset()
    needs = frozenset(_ATOM.findall(condition))
    if "&".join(part for part in condition.split("&") if _ATOM.fullmatch(part)) != condition:
        raise EnvironmentFailure(f"{symbol} has the unknown condition {condition!r}")
    unknown = needs - _ONE.get(symbol, frozenset())
    if unknown:
        raise EnvironmentFailure(f"{symbol} has a condition on {sorted(unknown)[0]}")
    return needs


def _parts(symbol: str, rhs: str) -> Parts:
    # The stock engine's parser skips white space before the first token, and reads a backslash-n as a new line.
    rhs = rhs.replace("\\n", "\n").lstrip()
    if ";" in rhs:
        raise EnvironmentFailure(f"{symbol} holds a semicolon, at which the stock engine stops reading")
    parts: list[tuple[bool, str]] = []
    for number, piece in enumerate(_TOKEN.split(rhs)):
        if number % 2 == 0:
            if piece:
                parts.append((True, piece))
            continue
        placeholder = "".join(piece.split()).replace('"', "'")
        if placeholder not in PLACEHOLDERS[symbol]:
            raise EnvironmentFailure(f"{symbol} holds the unknown placeholder {piece}")
        parts.append((False, placeholder))
    return tuple(parts)


def _refused(name: str, why: str) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"game {name}: its grammar is not one this engine reads: {why}.",
        hint="The stock engine (--set taskset.options.engine=stock) may play it.",
        kind="grammar",
    )
