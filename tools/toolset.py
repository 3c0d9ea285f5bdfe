"""Toolsets: several tools behind one door, and what can be put around them. Each is what a solver's hook takes."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

from ..core import ToolCall, ToolSpec
from ..errors import ConfigError
from .tool import Tool

GROUP = "lamarck.tools"


class Toolset(Protocol):
    """Tools a model may call."""

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        ...

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call and return it with its result or error."""
        ...


@runtime_checkable
class Knowing(Protocol):
    """A toolset that takes calls by names it does not offer."""

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        ...

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call."""
        ...

    def knows(self, name: str) -> bool:
        """Say whether a call of this name is for it."""
        ...


class Tools:
    """Some tools.

    Args:
        tools: with different names.

    Raises:
        ConfigError: two have the same name.
    """

    def __init__(self, tools: Iterable[Tool]) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            if tool.name in self._tools:
                raise _clash(tool.name)
            self._tools[tool.name] = tool

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return [tool.spec for tool in self._tools.values()]

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call; a tool that does not exist is an error the model reads."""
        tool = self._tools.get(call.name)
        return await tool.call(call) if tool is not None else unknown(call, self.specs())


class Joined:
    """Several toolsets as one.

    Args:
        toolsets: whose tools have different names.

    Raises:
        ConfigError: two tools have the same name.
    """

    def __init__(self, *toolsets: Toolset) -> None:
        self._toolsets = toolsets
        seen: set[str] = set()
        for spec in self.specs():
            if spec.name in seen:
                raise _clash(spec.name)
            seen.add(spec.name)

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return [spec for toolset in self._toolsets for spec in toolset.specs()]

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call in the toolset that has its tool, or else in one that knows it by an old name."""
        for toolset in self._toolsets:
            if any(spec.name == call.name for spec in toolset.specs()):
                return await toolset.call(call)
        for toolset in self._toolsets:
            if isinstance(toolset, Knowing) and toolset.knows(call.name):
                return await toolset.call(call)
        return unknown(call, self.specs())


class Filtered:
    """Only some of a toolset's tools.

    Args:
        toolset: the whole.
        keep: says of each tool whether it stays.
    """

    def __init__(self, toolset: Toolset, keep: Callable[[ToolSpec], bool]) -> None:
        self._toolset = toolset
        self._keep = keep

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return [spec for spec in self._toolset.specs() if self._keep(spec)]

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call of a tool that stayed."""
        if any(spec.name == call.name for spec in self.specs()):
            return await self._toolset.call(call)
        return unknown(call, self.specs())


class Prefixed:
    """A toolset whose tools bear a prefix, so that two of them can stand side by side.

    Args:
        toolset: the tools.
        prefix: put before each name.
    """

    def __init__(self, toolset: Toolset, prefix: str) -> None:
        self._toolset = toolset
        self._prefix = prefix

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return [spec.model_copy(update={"name": self._prefix + spec.name}) for spec in self._toolset.specs()]

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call by the tool's own name."""
        if not call.name.startswith(self._prefix):
            return unknown(call, self.specs())
        inner = call.model_copy(update={"name": call.name.removeprefix(self._prefix)})
        done = await self._toolset.call(inner)
        return done.model_copy(update={"name": call.name})


class Limited:
    """A toolset that answers a number of calls, and then says that it does not any more.

    Args:
        toolset: the tools.
        calls: how many calls it answers.
    """

    def __init__(self, toolset: Toolset, calls: int) -> None:
        self._toolset = toolset
        self.left = calls
        """How many calls are left."""

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return self._toolset.specs()

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call if there is one left."""
        if self.left <= 0:
            return call.model_copy(update={"error": "no tool calls are left; go on without.", "ran": False})
        self.left -= 1
        return await self._toolset.call(call)


class Recorded:
    """A toolset that keeps all calls with their results.

    Args:
        toolset: the tools.
        to: gets each call when it is done.
    """

    def __init__(self, toolset: Toolset, to: Callable[[ToolCall], None]) -> None:
        self._toolset = toolset
        self._to = to

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return self._toolset.specs()

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call and keep it."""
        done = await self._toolset.call(call)
        self._to(done)
        return done


class Approved:
    """A toolset whose calls someone must agree to.

    Args:
        toolset: the tools.
        ask: is shown each call before it is run; only True lets it pass.
    """

    def __init__(self, toolset: Toolset, ask: Callable[[ToolCall], Awaitable[bool]]) -> None:
        self._toolset = toolset
        self._ask = ask

    def specs(self) -> Sequence[ToolSpec]:
        """Return what the model is told."""
        return self._toolset.specs()

    async def call(self, call: ToolCall) -> ToolCall:
        """Run a call if it is agreed to."""
        if await self._ask(call) is not True:
            return call.model_copy(update={"error": f"{call.name} was not allowed.", "ran": False})
        return await self._toolset.call(call)


def load_tools(names: Sequence[str] | None = None) -> Tools:
    """Return the tools that installed packages register in the entry-point group `lamarck.tools`.

    Args:
        names: which; all if not given.

    Raises:
        ConfigError: a name is not registered, or what is registered is no tool or does not load.
    """
    points = {point.name: point for point in importlib.metadata.entry_points(group=GROUP)}
    found = []
    for name in names if names is not None else sorted(points):
        if name not in points:
            raise ConfigError(f"there is no tool {name!r}; there are: {', '.join(sorted(points)) or 'none'}.")
        try:
            loaded = points[name].load()
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"tool {name} does not load: {error}.") from error
        if not isinstance(loaded, Tool):
            raise ConfigError(f"tool {name} is a {type(loaded).__name__}.", hint="Put @tool above the function.")
        found.append(loaded)
    return Tools(found)


def unknown(call: ToolCall, specs: Sequence[ToolSpec]) -> ToolCall:
    """Return a call of a tool that does not exist, with an error the model can use."""
    there = ", ".join(spec.name for spec in specs) or "none"
    return call.model_copy(update={"error": f"there is no tool {call.name!r}; there are: {there}.", "ran": False})


def _clash(name: str) -> ConfigError:
    return ConfigError(f"two tools are called {name!r}.", hint="Put one of their toolsets into Prefixed.")
