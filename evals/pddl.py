"""Reading PDDL text as nested lists, and the actions of a domain in a form that can be compared."""

from __future__ import annotations

import re
from typing import Any

from ..errors import EnvironmentFailure

Expression = list[Any]
"""A list of strings and expressions."""

_WORD = re.compile(r"[()]|[^\s()]+")
_COMMENT = re.compile(r";[^\n]*")


def read_pddl(text: str) -> Expression:
    """Return the first parenthesised expression of `text`, lower-cased, without comments.

    Raises:
        EnvironmentFailure: the parentheses do not match.
    """
    stack: list[Expression] = [[]]
    for word in _WORD.findall(_COMMENT.sub("", text).lower()):
        if word == "(":
            stack.append([])
        elif word == ")":
            if len(stack) == 1:
                raise EnvironmentFailure("a parenthesis closes that was not opened", kind="pddl")
            done = stack.pop()
            stack[-1].append(done)
            if len(stack) == 1:
                return done
        else:
            stack[-1].append(word)
    raise EnvironmentFailure("a parenthesis is not closed", kind="pddl")


def typed_names(words: list[str]) -> list[tuple[str, str]]:
    """Return (name, type) of a PDDL list such as `?o1 ?o2 - object ?r - receptacle`."""
    pairs: list[tuple[str, str]] = []
    waiting: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "-":
            kind = next(rest, "object")
            pairs += [(name, kind) for name in waiting]
            waiting = []
        else:
            waiting.append(word)
    return pairs + [(name, "object") for name in waiting]


def canonical_actions(domain: Expression) -> dict[str, tuple[Any, ...]]:
    """Return each action as (parameter types, precondition, effect) with nothing in it that has no effect.

    Variables are numbered, `and` and `or` are sorted sets, costs are left out, an `exists` over a type that the
    domain does not declare is false, and receptacle and object types that an action tests are replaced by `*`.
    """
    types = {name for part in domain if part[:1] == [":types"] for name, _ in typed_names(part[1:])}
    actions = {}
    for part in domain:
        if part[:1] != [":action"]:
            continue
        fields = dict(zip(part[2::2], part[3::2], strict=True))
        parameters = typed_names(fields.get(":parameters", []))
        names = {name: f"?{number}" for number, (name, _) in enumerate(parameters)}
        precondition = _simplify(fields.get(":precondition", []), names, types)
        effect = _simplify(fields.get(":effect", []), names, types)
        actions[part[1]] = (tuple(kind for _, kind in parameters), precondition, effect)
    return actions


def tested_types(domain: Expression, action: str) -> frozenset[str]:
    """Return the types of receptacles or objects that an action's precondition names (`SinkBasinType`, ...)."""
    found: set[str] = set()

    def walk(node: Any) -> None:
        if isinstance(node, list):
            if len(node) == 3 and node[0] in ("receptacletype", "objecttype") and not str(node[2]).startswith("?"):
                found.add(node[2])
            for child in node:
                walk(child)

    for part in domain:
        if part[:2] == [":action", action]:
            walk(part)
    return frozenset(found)


def _simplify(node: Any, names: dict[str, str], types: set[str]) -> Any:
    if not isinstance(node, list):
        return names.get(node, node)
    if not node:
        return ("and",)
    head = node[0]
    if head == "increase":
        return ("and",)
    if head in ("and", "or"):
        parts = {_simplify(child, names, types) for child in node[1:]}
        neutral = ("and",) if head == "and" else ("or",)
        flat = {leaf for part in parts if part != neutral for leaf in (part[1:] if part[0] == head else (part,))}
        if len(flat) == 1:
            return next(iter(flat))
        return (head, *sorted(flat, key=repr))
    if head in ("exists", "forall"):
        variables = typed_names(node[1])
        if any(kind not in types for _, kind in variables):
            return ("or",)
        inner = names | {name: f"?{head}{number}" for number, (name, _) in enumerate(variables)}
        return (head, tuple(kind for _, kind in variables), _simplify(node[2], inner, types))
    if head in ("receptacletype", "objecttype") and not str(node[2]).startswith("?"):
        return (head, names.get(node[1], node[1]), "*")
    return (head, *(_simplify(child, names, types) for child in node[1:]))
