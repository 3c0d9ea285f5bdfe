"""Proposing tools, and calling them in real sandboxes."""

from contextlib import asynccontextmanager

from lamarck.core import ToolCall
from lamarck.sandboxes.bubblewrap import Bubblewrap
from lamarck.sandboxes.limits import Limits
from lamarck.sandboxes.pool import Pool, PoolLimits
from lamarck.tools.made import MadeTest
from lamarck.tools.made_check import check
from lamarck.tools.made_log import ToolLog
from lamarck.tools.made_rules import Rules
from lamarck.tools.made_run import RunLimits
from lamarck.tools.made_toolset import MadeSettings, MadeToolset
from lamarck.tools.made_trial import TrialLimits

DOUBLE = '''
def double(x: int) -> int:
    """Double a number.

    Args:
        x: the number.
    """
    return 2 * x
'''
TESTS = [{"arguments": {"x": 2}, "expected": 4}, {"arguments": {"x": -3}, "expected": -6}]
QUICK = TrialLimits(run=RunLimits(timeout_s=2.0))


def function(body, name="f", arguments="x: int", before=""):
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    return f'{before}\ndef {name}({arguments}):\n    """Compute."""\n{lines}\n'


def draft(code, tests=None, name="f", description="Computes."):
    both = [{"arguments": {"x": n}, "expected": n} for n in (1, 2)]
    return {"name": name, "description": description, "code": code, "tests": both if tests is None else tests}


def made(name="double", code=DOUBLE, tests=TESTS, rules=None):
    return check(name, "D.", code, [MadeTest(**test) for test in tests], rules or Rules()).tool


class Desk:
    """A toolset for one episode, with everything it needs."""

    def __init__(self, store, pool, lease, **more):
        self.store, self.pool, self.lease = store, pool, lease
        self.log = ToolLog(store, clock=lambda: 7.0)
        self.count = 0
        self.toolset = self.open(**more)

    def open(self, trajectory_id="t1", lease=None, log=None, **more):
        async def leased():
            return lease or self.lease

        return MadeToolset(
            log or self.log, leased, self.pool, run_id="r", trajectory_id=trajectory_id, **{"settings": QUICKLY, **more}
        )

    async def call(self, name, arguments=None, toolset=None, ident=None):
        self.count += 1
        call = ToolCall(id=ident or f"c{self.count}", name=name, arguments=arguments if arguments is not None else {})
        return await (toolset or self.toolset).call(call)

    async def make(self, code=DOUBLE, tests=TESTS, name="double", toolset=None, **more):
        return await self.call("make_tool", draft(code, tests, name), toolset, **more)

    def names(self):
        return [spec.name for spec in self.toolset.specs()][2:]

    def events(self):
        return [entry.event for entry in self.log.entries()]


QUICKLY = MadeSettings(trial=QUICK)


@asynccontextmanager
async def sandboxes(**limits):
    backend = Bubblewrap()
    assert (probe := await backend.probe()).available, probe.reason
    try:
        async with Pool(backend, limits=Limits(**limits), size=PoolLimits(warm=1, most=3)) as pool:
            yield pool
    finally:
        await backend.close()
