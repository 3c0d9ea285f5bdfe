"""Running episodes of small worlds with everything on: store, checkpoints, runner."""

from lamarck.agent.checkpoints import open_checkpoints
from lamarck.agent.hooks import Hooks
from lamarck.agent.hosting import LocalPool, declared_concurrency
from lamarck.agent.runner import Runner
from lamarck.config import CollectConfig, RunConfig, SolverConfig
from lamarck.store import Store
from worlds import Walks


class Bench:
    """A runner with everything it needs."""

    def __init__(self, path, llm, *, taskset=None, solver=None, collect=None, hooks=None, saver=True, answer_of=None):
        self.path, self.llm = path, llm
        self.taskset = taskset or Walks()
        self.config = RunConfig(solver=solver or SolverConfig(), collect=collect or CollectConfig(concurrency=2))
        self.hooks, self.saver = hooks or Hooks(), saver
        self.answer_of = answer_of
        self.events = []
        self.enough = lambda: False

    async def run(self, tasks=None):
        with Store.open(self.path / "store.db") as store, open_checkpoints(self.path / "checkpoints.db") as saver:
            kind = declared_concurrency(self.taskset.environment())
            worlds = LocalPool(self.taskset, kind, size=4, timeout_s=5.0)
            self.runner = Runner(
                "run",
                self.config,
                store,
                self.llm,
                worlds,
                saver if self.saver else None,
                hooks=self.hooks,
                answer_of=self.answer_of,
                on_event=self.events.append,
                enough=self.enough,
            )
            result = await self.runner.run(tasks or self.taskset.tasks("train"))
            await worlds.close()
            self.trajectories = list(store.trajectories(run_id="run"))
            self.open = [row for row in store.attempts("run") if row.open]
            self.checkpoints = saver.conn.execute("SELECT count(*) FROM checkpoints").fetchone()[0]
        return result
