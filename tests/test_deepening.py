"""Attempts whose budget doubles until a verifier accepts: budgets, where they go on from, and what that is worth."""

import random
import re

import pytest
from gated import ACTED
from judgements import Says, verdict
from lamarck.agent.hooks import Hooks
from lamarck.agent.hosting import LocalPool
from lamarck.agent.runner import Runner
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.verifiers.deepening import Deepening
from lamarck.agent.verifiers.judging import Judging
from lamarck.agent.verifiers.rewinding import RewindingPool
from lamarck.agent.verifiers.verifier import unjudged
from lamarck.cli.app import app
from lamarck.config import CollectConfig, RepairConfig, RunConfig, SolverConfig
from lamarck.config_verify import GateSettings
from lamarck.core import Reply, Usage
from lamarck.errors import ConfigError, ModelError
from lamarck.evals.questions import QuestionsTaskset
from lamarck.store import Store
from lamarck.training.examples import pairs, successes
from lamarck.training.row_files import export_rows, read_rows
from typer.testing import CliRunner
from worlds import Corridor, Walks

TOLD = "with less room than you have now"
FAR = Says(lambda one: verdict(len(one.steps) >= 10, judge="far"))
NEVER = Says(verdict(False, judge="never"))


class Counted(Corridor):
    """A corridor that counts the steps it carries out."""

    total = 0

    def step(self, action):
        Counted.total += 1
        return super().step(action)


class Plain:
    """A corridor without snapshots."""

    concurrency = "inline"

    def __init__(self, length):
        self._inner = Corridor(length)

    def reset(self, *, seed=None, task=None):
        return self._inner.reset()

    def step(self, action):
        return self._inner.step(action)


def right(fails_at=()):
    """A model that goes right; at its calls with these numbers something happens instead."""
    calls = iter(range(10_000))

    def answer(messages):
        found = dict(fails_at).get(next(calls))
        return found if found is not None else Reply(text="right", usage=ACTED)

    return ScriptedLLM(answer)


async def play(path, llm, taskset, verifier, *, repair=None, solver=None, samples=1, snapshots=True, **gate):
    """Play, or go on; return every finished attempt in order."""
    path.mkdir(exist_ok=True)
    repair = repair or RepairConfig(by="deepening", first_budget=2, trials=4)
    solver = solver or SolverConfig(max_steps=60, on_loop="ignore")
    config = RunConfig(solver=solver, collect=CollectConfig(samples=samples, concurrency=2))
    with Store.open(path / "store.db") as store:
        deepening = Deepening(store, GateSettings(**gate), repair, max_steps=solver.max_steps)
        hooks = Judging(verifier, deepening).hooks(Hooks(grows=deepening.limit))
        pool = LocalPool(taskset, "inline", size=4, timeout_s=5.0)
        runner = Runner("run", config, store, llm, RewindingPool(pool) if snapshots else pool, hooks=hooks)
        await runner.run(taskset.tasks("train"))
        await pool.close()
        return sorted(store.trajectories(run_id="run"), key=lambda one: (one.task.id, one.sample, one.attempt))


def fresh(found):
    """Return how many steps each attempt decided itself."""
    return [len(one.steps) - (one.fork_at or 0) for one in found]


async def test_budgets_double_and_nothing_is_done_twice(tmp_path):
    Counted.total = 0
    found = await play(tmp_path, right(), Walks(Counted, n=1, length=10), FAR)
    assert fresh(found) == [2, 4, 4] and [one.fork_at for one in found] == [None, 2, 6]
    assert [one.stop for one in found] == ["max_steps", "max_steps", "terminated"] and found[-1].success
    assert Counted.total == 10 and sum(one.usage.calls for one in found) == 10
    # Siblings, as those of any repair are.
    assert [one.parent for one in found] == [None, found[0].id, found[1].id]
    assert len({one.group_id for one in found}) == 1
    # What was decided anew was decided with the trigger in the prompt.
    assert [TOLD in step.messages[1].content for step in found[1].steps] == [False] * 2 + [True] * 4


async def test_the_last_budget_is_the_end(tmp_path):
    found = await play(tmp_path, right(), Walks(Counted, n=1, length=99), NEVER)
    assert fresh(found) == [2, 4, 8, 16] and not found[-1].success


async def test_the_solvers_own_bound_holds(tmp_path):
    solver = SolverConfig(max_steps=6, on_loop="ignore")
    found = await play(tmp_path, right(), Walks(Counted, n=1, length=99), NEVER, solver=solver)
    # From six steps on there is no room to go on in: it begins anew.
    assert [(len(one.steps), one.fork_at) for one in found] == [(2, None), (6, 2), (6, None), (6, None)]


@pytest.mark.parametrize("how", [{"snapshots": False}, {"fork": False}])
async def test_without_going_back_it_begins_anew(tmp_path, how):
    make = Plain if "snapshots" in how else Counted
    found = await play(tmp_path, right(), Walks(make, n=1, length=7), FAR, **how)
    assert [len(one.steps) for one in found] == [2, 4, 7, 7] and [one.fork_at for one in found] == [None] * 4
    assert all(TOLD in step.messages[1].content for one in found[1:] for step in one.steps)
    assert "This is where you stood:\n\nright" in found[1].steps[0].messages[1].content


async def test_an_answer_is_taken_back(tmp_path):
    repair = RepairConfig(by="deepening", first_budget=5, trials=2)
    found = await play(tmp_path, right(), Walks(Counted, n=1, length=3), NEVER, repair=repair)
    assert [(len(one.steps), one.fork_at, one.stop) for one in found] == [(3, None, "terminated"), (3, 2, "terminated")]


async def test_who_accepts(tmp_path):
    walks = Walks(Counted, n=1, length=1)
    assert len(await play(tmp_path / "yes", right(), walks, Says(verdict(True, judge="fine")))) == 1
    # Who cannot judge has not accepted, and the environment, which says that all is well, is not asked.
    mute = Says(unjudged("mute", "nothing to go by"))
    found = await play(tmp_path / "mute", right(), walks, mute)
    assert len(found) == 4 and all(one.success and one.verdict.judge == "environment" for one in found)


def alike(found):
    return [(t.attempt, t.fork_at, t.parent, t.stop, [(s.action, s.messages) for s in t.steps]) for t in found]


@pytest.mark.parametrize("at", [1, 3, 7])
async def test_stopped_in_the_middle_it_ends_as_if_it_had_not_been(tmp_path, at):
    walks = Walks(Counted, n=1, length=10)
    whole = await play(tmp_path / "whole", right(), walks, FAR)
    with pytest.raises(ConfigError, match="stopped here"):
        await play(tmp_path / "rest", right({at: ConfigError("stopped here.")}.items()), walks, FAR)
    assert alike(await play(tmp_path / "rest", right(), walks, FAR)) == alike(whole)


async def test_what_infrastructure_ends_is_started_anew_with_the_same_budget(tmp_path):
    failing = right({3: ModelError("no answer", kind="server")}.items())
    found = await play(tmp_path, failing, Walks(Counted, n=1, length=99), NEVER)
    lost = [one for one in found if one.failure is not None]
    assert [one.attempt for one in lost] == [1]
    assert fresh(one for one in found if one.failure is None) == [2, 4, 8, 16]


class Worker:
    """A model that writes what a question takes, as far as it is let; a mistake in it is seldom made twice when told.

    Args:
        slips: share of answers that are wrong.
        told: the same where it was told to check again.
    """

    name = "worker"

    def __init__(self, slips=0.5, told=0.1):
        self.slips, self.told, self.lengths = slips, told, []

    async def chat(self, messages, *, sampling=None, tools=(), session=None):
        asked = messages[1].content
        work, most = int(re.search(r"(\d+) tokens", asked)[1]), sampling.max_tokens
        self.lengths.append(most)
        chance = random.Random(f"{sampling.seed} {asked}").random()
        right = chance >= (self.told if TOLD in asked else self.slips)
        text = "..." if most < work else f"<action>{'yes' if right else 'no'}</action>"
        ids, prompt = (7,) * min(work, most), tuple(ord(letter) % 250 for letter in asked)
        return Reply(
            text=text, model=self.name, policy_version="1", token_ids=ids, logprobs=(-0.1,) * len(ids),
            prompt_token_ids=prompt, usage=Usage(prompt_tokens=len(prompt), completion_tokens=len(ids), calls=1),
        )  # fmt: skip

    def end_session(self, session):
        pass

    async def close(self):
        pass


def demanding(path, each):
    """Return questions that all take more tokens than the first budget of 20."""
    works = [(30, 70)[n % 2] for n in range(each * 2)]
    lines = [f'{{"question": "No. {n} takes {work} tokens", "answer": "yes"}}' for n, work in enumerate(works)]
    (path / "questions.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return QuestionsTaskset(data=str(path / "questions.jsonl"))


TRUE = Says(lambda one: verdict(one.steps[-1].action == "yes", judge="true"))
TEXT = SolverConfig(protocol="text", max_steps=9, on_loop="ignore")


async def asked(path, worker, taskset, budget, trials, samples=1):
    """Return the share of questions that any attempt solved, tokens written for one of them, and all attempts."""
    repair = RepairConfig(by="deepening", first_budget=budget, budget_in="tokens", trials=trials)
    found = await play(path, worker, taskset, TRUE, repair=repair, solver=TEXT, samples=samples)
    tasks = len({one.task.id for one in found})
    solved = {one.task.id for one in found if one.success}
    return len(solved) / tasks, sum(one.usage.completion_tokens for one in found) / tasks, found


async def test_at_equal_tokens_more_hard_questions_are_solved_than_by_the_best_of_n(tmp_path):
    taskset, worker = demanding(tmp_path, 12), Worker()
    deep, spent, found = await asked(tmp_path / "deep", worker, taskset, 20, 3)
    assert set(worker.lengths) == {20, 40, 80}
    assert max(one.usage.completion_tokens for one in found) <= 80
    # The same verifier picks among n: whatever it would accept counts as solved. Samples of the first budget alone
    # solve none of these.
    several = [await asked(tmp_path / f"{n}", Worker(), taskset, size, 1, n) for size, n in ((40, 3), (80, 2))]
    told = (deep, spent, [one[:2] for one in several])
    # Seen: 1.00 with 91 tokens, against 0.33 with 105 and 0.63 with 100.
    assert all(tokens >= spent and share <= deep for share, tokens, _ in several), told
    # A good part of it is the trigger: one who does not look again solves fewer, here 0.79.
    deaf, _, _ = await asked(tmp_path / "deaf", Worker(told=0.5), taskset, 20, 3)
    assert deaf < deep - 0.1, (*told, deaf)


async def test_traces_are_rows_to_train_on(tmp_path):
    _, _, found = await asked(tmp_path / "deep", Worker(), demanding(tmp_path, 3), 20, 3)
    again = [one for one in found if one.attempt]
    assert again and all(TOLD in one.steps[0].messages[1].content for one in again)
    with Store.open(tmp_path / "deep" / "store.db") as store:
        written = export_rows(store.trajectories(run_id="run"), tmp_path / "rows.jsonl", strip=False)
    rows = list(read_rows(tmp_path / "rows.jsonl"))
    assert len(rows) == written.rows == sum(len(one.steps) for one in found)
    solved = {row.trajectory_id for row in successes(found)}
    assert solved & {one.id for one in again} and all(len(row.completion_ids) <= 80 for row in rows)
    # Where two budgets ended otherwise after one and the same prompt, the longer one that was right is preferred.
    assert all(len(one.chosen_ids) > len(one.rejected_ids) for one in pairs(found))


def complaint(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(done.exception, ConfigError), (done.output, done.exception)
    return str(done.exception)


def test_the_command_line(tmp_path):
    there = ("run", "-t", "questions", "--limit", 2, "--protocol", "text", "-q", "-s", "repair.by=deepening")
    said = complaint(*there, "-m", "first", "-o", tmp_path / "a")
    assert said.startswith("repair.by = deepening needs a verifier, and verify.by is none.")
    assert "repair.first_budget" in complaint(*there, "-m", "first", "-s", "repair.first_budget=0")
    assert "'steps' or 'tokens'" in complaint(*there, "-m", "first", "-s", "repair.budget_in=words")
    (tmp_path / "script.jsonl").write_text('"<action>none</action>"\n' * 9, encoding="utf-8")
    judge = ("-s", "verify.by=rule", "-s", 'verify.options.checks=[{answer = "[0-9]+"}]', "-s", "repair.trials=3")
    done = CliRunner().invoke(
        app, [*map(str, (*there, *judge, "-m", f"scripted:{tmp_path / 'script.jsonl'}", "-o", tmp_path / "b"))]
    )
    assert done.exit_code == 0, (done.output, done.exception)
    with Store.open(tmp_path / "b" / "store.db") as store:
        assert sorted(one.attempt for one in store.headers()) == [0, 0, 1, 1, 2, 2]
