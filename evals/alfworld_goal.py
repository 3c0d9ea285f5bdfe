"""The goal of a game: whether it is reached, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..errors import EnvironmentFailure
from .pddl import Expression, typed_names


class Facts(Protocol):
    """What a goal may ask of a state."""

    location: int
    held: list[int]
    marks: dict[str, set[int]]

    def contains(self, receptacle: int, thing: int) -> bool: ...

    def is_open(self, receptacle: int) -> bool: ...

    def is_at(self, receptacle: int, location: int) -> bool: ...


Binding = dict[str, int]
Leaf = Callable[[Facts, Binding], bool]


FORBIDDEN = -1_000_000
"""Worth of a choice that a constraint rules out, or of a choice among nothing."""


@dataclass(frozen=True)
class Node:
    """A part of a goal: a leaf that is true or false, all of some parts, or some choice of things."""

    leaf: Leaf | None = None
    parts: tuple[Node, ...] = ()
    variable: str = ""
    candidates: tuple[int, ...] | None = ()
    """What `variable` ranges over; None is wherever the agent is."""
    constraint: bool = False
    """A leaf that says which choices are allowed and is no achievement itself."""

    def count(self) -> int:
        """Return how many leaves have to be true."""
        if self.leaf is not None:
            return 0 if self.constraint else 1
        return sum(part.count() for part in self.parts)

    def best(self, facts: Facts, binding: Binding) -> int:
        """Return how many leaves are true under the best choice of things."""
        if self.leaf is not None:
            true = self.leaf(facts, binding)
            return int(true) if not self.constraint else 0 if true else FORBIDDEN
        if not self.variable:
            return sum(part.best(facts, binding) for part in self.parts)
        most, full = FORBIDDEN, self.count()
        for candidate in (facts.location,) if self.candidates is None else self.candidates:
            binding[self.variable] = candidate
            most = max(most, sum(part.best(facts, binding) for part in self.parts))
            if most == full:
                break
        binding.pop(self.variable, None)
        return most


@dataclass(frozen=True)
class Goal:
    """A whole goal."""

    root: Node
    total: int
    uses_location: bool
    """Whether walking alone can change it."""

    def reached(self, facts: Facts) -> int:
        """Return how many of the `total` conditions hold under the best choice of things; all of them is a win."""
        return max(0, self.root.best(facts, {}))


def read_goal(
    expression: Expression,
    receptacle_types: Sequence[frozenset[str]],
    object_types: Sequence[frozenset[str]],
    kinds: Mapping[str, frozenset[int]],
    locations: tuple[int, ...],
) -> Goal:
    """Compile `(:goal ...)`. Static conditions narrow the choice of things beforehand; the others are its leaves.

    Raises:
        EnvironmentFailure: the goal uses something this engine does not know.
    """
    if expression[:1] != [":goal"] or len(expression) != 2:
        raise EnvironmentFailure("its goal cannot be read", kind="goal")
    world = _World(receptacle_types, object_types, kinds, locations)
    root = _node(expression[1], world, {})
    text = repr(expression)
    return Goal(root, root.count(), "'atlocation'" in text)


@dataclass(frozen=True)
class _World:
    receptacle_types: Sequence[frozenset[str]]
    object_types: Sequence[frozenset[str]]
    kinds: Mapping[str, frozenset[int]]
    locations: tuple[int, ...]

    def of_type(self, kind: str) -> tuple[int, ...]:
        known = {
            "object": tuple(range(len(self.object_types))),
            "receptacle": tuple(range(len(self.receptacle_types))),
            "agent": (0,),
            "location": self.locations,
        }
        if kind not in known:
            raise EnvironmentFailure(f"its goal ranges over {kind}", kind="goal")
        return known[kind]

    def static(self, atom: Expression) -> frozenset[int] | None:
        """Return the things of which a static unary condition holds, or None if it is none."""
        head = atom[0]
        if head == "objecttype" and not atom[2].startswith("?"):
            return frozenset(n for n, types in enumerate(self.object_types) if atom[2] in types)
        if head == "receptacletype" and not atom[2].startswith("?"):
            return frozenset(n for n, types in enumerate(self.receptacle_types) if atom[2] in types)
        return self.kinds.get(head) if len(atom) == 2 else None


def _node(expression: Expression, world: _World, narrowed: dict[str, set[int]]) -> Node:
    head = expression[0]
    if head == "and":
        parts = []
        for child in _static_first(expression[1:], world):
            fitting = world.static(child)
            if fitting is not None and child[1] in narrowed:
                narrowed[child[1]] &= fitting
            else:
                parts.append(_node(child, world, narrowed))
        return Node(parts=tuple(parts))
    if head == "exists":
        variables = typed_names(expression[1])
        narrowed = narrowed | {name: set(world.of_type(kind)) for name, kind in variables}
        node = _node(["and", expression[2]] if expression[2][0] != "and" else expression[2], world, narrowed)
        kinds = dict(variables)
        # Where the agent is serves as well as any other place: whatever else asks for the place counts once, there
        # or elsewhere, and only there can all of it be true.
        here = {part[2] for part in expression[2] if part[:1] == ["atlocation"]}
        for name in reversed(kinds):
            candidates = None if name in here else tuple(sorted(narrowed[name]))
            node = Node(parts=(node,), variable=name, candidates=candidates)
        return node
    return Node(leaf=_leaf(expression), constraint="=" in repr(expression))


def _static_first(children: Expression, world: _World) -> Expression:
    return sorted(children, key=lambda child: world.static(child) is None)


def _leaf(atom: Expression) -> Leaf:
    head = atom[0]
    if head == "not":
        inner = _leaf(atom[1])
        return lambda facts, at: not inner(facts, at)
    if head == "=":
        left, right = atom[1], atom[2]
        return lambda facts, at: at[left] == at[right]
    if head == "inreceptacle":
        thing, receptacle = atom[1], atom[2]
        return lambda facts, at: facts.contains(at[receptacle], at[thing])
    if head == "holds":
        thing = atom[2]
        return lambda facts, at: at[thing] in facts.held
    if head == "atlocation":
        place = atom[2]
        return lambda facts, at: facts.location == at[place]
    if head == "receptacleatlocation":
        receptacle, place = atom[1], atom[2]
        return lambda facts, at: facts.is_at(at[receptacle], at[place])
    if head == "opened":
        receptacle = atom[1]
        return lambda facts, at: facts.is_open(at[receptacle])
    if head in ("isclean", "ishot", "iscool", "issliced", "istoggled"):
        thing = atom[1]
        return lambda facts, at: at[thing] in facts.marks[head]
    raise EnvironmentFailure(f"its goal asks for {head}", kind="goal")
