"""Samples for the questions whose answer is least certain: the rule by hand, what it saves, and runs that use it."""

import asyncio
import json
import random
import re
import sqlite3
from collections import Counter
from contextlib import closing
from statistics import fmean

import pytest
from harness import Bench
from lamarck.agent.allocation import LEAST, allocate, evenness, needed, overtaken, settled, top
from lamarck.agent.scripted import ScriptedLLM
from lamarck.cli.app import app
from lamarck.cli.evolving.playing import as_released
from lamarck.config import CollectConfig, RunConfig, SolverConfig, TasksetConfig
from lamarck.core import Reply, Usage
from lamarck.errors import ConfigError, ModelError
from lamarck.evals.figures.pick import blind_answer
from lamarck.evals.figures.played import Played
from lamarck.evals.questions import QuestionsTaskset
from lamarck.rundir import RunDirectory
from polls import EASY, answers, poll, questions, right
from released import draft, opened
from typer.testing import CliRunner
from worlds import Walks


def test_the_measures_by_hand():
    # P(Beta(a + 1, b + 1) <= 1/2): for (2, 0) that is the integral of 3 x^2, for (1, 1) a half.
    assert overtaken(0, 0) == overtaken(1, 1) == overtaken(9, 9) == 0.5
    assert overtaken(2, 0) == 0.125 and overtaken(4, 0) == 1 / 32
    # (3, 1): P(Beta(4, 2) <= 1/2) = P(Binomial(5, 1/2) >= 4) = 6 / 32.
    assert overtaken(3, 1) == 6 / 32
    # The density of Beta(a + 1, b + 1) at 1/2.
    assert (evenness(0, 0), evenness(1, 0), evenness(1, 1), evenness(2, 0)) == (1.0, 1.0, 1.5, 0.75)
    assert overtaken(3000, 2000) < 1e-40 and evenness(2000, 2000) > 50


def test_when_a_mode_is_clear():
    assert top(Counter({"a": 3, None: 1, "b": 1})) == (3, 1) and top(Counter()) == (0, 0)
    # One in 32 is less than one in 20, one in 16 is not.
    assert settled((4, 0), 0.95) and not settled((3, 0), 0.95)
    assert not settled((500, 0), 1.0)
    assert (needed((0, 0), 0.95, 9), needed((3, 0), 0.95, 9), needed((4, 4), 0.95, 3)) == (4, 1, 3)


def test_who_comes_next():
    votes = {"split": Counter(a=2, b=2), "clear": Counter(a=9), "leads": Counter(a=3, b=1), "new": Counter()}
    # Half of the budget of 34 is spent. The tied ones share the first rank of the early measure, and of the late one
    # "split" is first; "clear" gets nothing, and nobody more than it needs.
    chosen = allocate(votes, 34)
    assert chosen[:3] == ["split", "new", "leads"] and len(chosen) == LEAST
    counts = Counter(chosen)
    assert counts["clear"] == 0
    assert all(counts[name] <= needed(top(one), 0.95, LEAST) for name, one in votes.items() if name != "clear")
    assert chosen == allocate(votes, 34)
    # The last samples of a budget are not exceeded, and nothing is asked where everything is clear.
    assert len(allocate(votes, 19)) == 2 and allocate(votes, 17) == allocate({}, 9) == []
    assert allocate({"clear": Counter(a=9)}, 99) == [] != allocate({"clear": Counter(a=9)}, 99, clear=1.0)
    # At first everyone is asked once.
    assert allocate({str(n): Counter() for n in range(LEAST)}, 99) == [str(n) for n in range(LEAST)]


def test_uniform_gives_everyone_the_same():
    votes = poll([answers(EASY, n) for n in range(5)], 35, rule="uniform")
    assert [one.total() for one in votes.values()] == [7] * 5


def test_the_budget_is_never_exceeded_and_nobody_is_left_out():
    for seed, budget in enumerate((1, 7, 20, 41, 333)):
        streams = questions(20, seed)
        for clear in (0.8, 0.95, 1.0):
            votes = poll(streams, budget, clear=clear)
            spent = sum(one.total() for one in votes.values())
            assert spent <= budget and (clear < 1.0 or spent == budget)
            assert budget < 20 or min(one.total() for one in votes.values()) >= 1


def test_a_clear_mode_stops_early():
    streams = [answers((1.0,), 0), answers((0.5, 0.5), 1), answers((1.0,), 2)]
    votes = poll(streams, 60)
    assert votes["0"] == votes["2"] == Counter({"0": 4})
    assert votes["1"].total() > 8
    # Three questions without doubt: four samples each, of twenty.
    assert sum(one.total() for one in poll([answers((1.0,), n) for n in range(3)], 60).values()) == 12


def test_a_question_that_is_never_answered_does_not_eat_up_the_budget():
    votes = {"mute": Counter(), "split": Counter()}
    streams = {"mute": lambda n: None, "split": answers((0.5, 0.5), 3)}
    while chosen := allocate(votes, 60):
        for name in chosen:
            votes[name][streams[name](votes[name].total())] += 1
    assert votes["mute"] == Counter({None: 4})


def test_a_third_of_the_samples_finds_as_many_modes():
    sets = [questions(100, seed) for seed in range(8)]
    blend = [poll(one, 1200) for one in sets]
    found, used = fmean(map(right, blend)), fmean(sum(v.total() for v in one.values()) for one in blend)
    uniform = {n: fmean(right(poll(one, 100 * n, rule="uniform")) for one in sets) for n in (12, 36)}
    # Seen: 0.990 with 11.6 samples per question, where uniform finds 0.954 with 12 and 0.978 with 36.
    assert used <= 1200 and found >= uniform[36] > uniform[12] + 0.01
    # The rule itself, without stopping anybody, does it as well.
    assert fmean(right(poll(one, 1200, clear=1.0)) for one in sets) >= uniform[36]


class Guesser:
    """Answers by lot, the same for the same sample of the same question: rightly, or in even questions often not."""

    name = "guesser"

    def __init__(self, dies_after=None):
        self.calls, self.dies_after = 0, dies_after

    async def chat(self, messages, *, sampling=None, tools=(), session=None):
        self.calls += 1
        if self.calls == self.dies_after:
            raise ConfigError("stopped here.")
        await asyncio.sleep(0)
        draw = random.Random(sampling.seed)
        hard = int(re.search("question (\\d+)", messages[1].content)[1]) % 2 == 0
        wrong = hard and draw.random() < 0.55
        text = f"<action>{draw.choice((6, 7, 8)) if wrong else 5}</action>"
        return Reply(text=text, usage=Usage(prompt_tokens=10, completion_tokens=2, calls=1))

    def end_session(self, session):
        pass

    async def close(self):
        pass


def asked(path, count=6):
    """Write a file of questions, and return it."""
    file = path / "questions.jsonl"
    lines = [json.dumps({"question": f"question {n}?", "answer": "5", "split": "test"}) for n in range(count)]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def bench(path, llm, samples=7, taskset=None, **collect):
    settings = CollectConfig(samples=samples, allocate="blend", **{"concurrency": 3, **collect})
    solver = SolverConfig(protocol="text")
    return Bench(path, llm, taskset=taskset, solver=solver, collect=settings, answer_of=blind_answer)


def told(found):
    """Return (task, sample, answer) of all samples, in order."""
    return sorted((one.task.id, one.sample, blind_answer(one)) for one in found)


async def test_a_run_gives_samples_to_the_uncertain(tmp_path):
    taskset = QuestionsTaskset(data=str(asked(tmp_path)))
    made = bench(tmp_path, Guesser(), taskset=taskset)
    result = await made.run(taskset.tasks("test"))
    counts = Counter(one.task.id for one in made.trajectories)
    number = {task.id: n for n, task in enumerate(taskset.tasks("test"))}
    # Those that are always answered alike are clear after four.
    assert {counts[ident] for ident, n in number.items() if n % 2} == {4}
    assert sum(counts.values()) <= 42 and max(counts.values()) > 7
    assert (result.total, result.spared) == (sum(counts.values()), 42 - sum(counts.values()))
    assert result.finished == result.total and result.failed == 0
    assert {one.sample for one in made.trajectories if number[one.task.id] == 1} == {0, 1, 2, 3}
    # How many play at once changes nothing.
    (tmp_path / "one").mkdir()
    alone = bench(tmp_path / "one", Guesser(), taskset=taskset, concurrency=1)
    await alone.run(taskset.tasks("test"))
    assert told(alone.trajectories) == told(made.trajectories)


@pytest.mark.parametrize("after", [1, 20])
async def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path, after):
    taskset = QuestionsTaskset(data=str(asked(tmp_path)))
    (tmp_path / "whole").mkdir()
    whole = bench(tmp_path / "whole", Guesser(), taskset=taskset)
    await whole.run(taskset.tasks("test"))
    with pytest.raises(ConfigError, match="stopped here"):
        await bench(tmp_path, Guesser(dies_after=after), taskset=taskset).run(taskset.tasks("test"))
    rest = bench(tmp_path, Guesser(), taskset=taskset)
    result = await rest.run(taskset.tasks("test"))
    assert told(rest.trajectories) == told(whole.trajectories)
    assert result.already + result.finished == result.total == len(whole.trajectories)
    # Three were under way, and what they had decided is not decided again.
    assert rest.llm.calls <= result.finished <= rest.llm.calls + 3
    assert [event.kind for event in rest.events].count("planned") == 1
    # And once more there is nothing left to do.
    idle = bench(tmp_path, Guesser(), taskset=taskset)
    again = await idle.run(taskset.tasks("test"))
    assert (again.finished, again.already, idle.llm.calls) == (0, result.total, 0)
    assert [(event.kind, event.done) for event in idle.events] == [("planned", result.total)]


async def test_what_infrastructure_takes_is_no_answer(tmp_path):
    taskset = QuestionsTaskset(data=str(asked(tmp_path, count=2)))

    class Down(Guesser):
        async def chat(self, messages, **more):
            self.calls += 1
            raise ModelError("no answer", kind="server")

    down = bench(tmp_path, Down(), samples=10, taskset=taskset, attempts=1, max_failures=99)
    result = await down.run(taskset.tasks("test"))
    # It makes no question clear: the whole budget is tried.
    assert (result.failed, result.finished, result.spared) == (20, 0, 0)
    up = bench(tmp_path, Guesser(), samples=10, taskset=taskset)
    result = await up.run(taskset.tasks("test"))
    # What was begun comes to its end, also where the answers do not ask for it any more: nothing stays lost.
    ended = {(one.task.id, one.sample) for one in up.trajectories if one.failure is None}
    assert ended == {(one.task.id, one.sample) for one in up.trajectories} and len(ended) == 20
    assert (result.failed, result.total, result.spared) == (0, 20, 0)


async def test_what_is_no_question_is_refused(tmp_path):
    walks = bench(tmp_path, ScriptedLLM(lambda messages: "<action>right</action>"), taskset=Walks(n=9))
    with pytest.raises(ConfigError, match=r"none of the first 8 episodes gave one \(task walks/0"):
        await walks.run()
    # One that infrastructure took is no reason to go on.
    llm = ScriptedLLM([ModelError("no answer", kind="server"), *["<action>right</action>"] * 99])
    (tmp_path / "lost").mkdir()
    walks = bench(tmp_path / "lost", llm, taskset=Walks(n=9), attempts=1, concurrency=1)
    with pytest.raises(ConfigError, match="none of the first 7 episodes"):
        await walks.run()
    nameless = Bench(tmp_path, Guesser(), taskset=Walks(), collect=CollectConfig(samples=2, allocate="blend"))
    with pytest.raises(ConfigError, match="nothing here says what one is"):
        await nameless.run()


def lamarck(*arguments, code=0):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    if code:
        assert isinstance(done.exception, ConfigError), (done.output, done.exception)
        return str(done.exception)
    assert done.exit_code == 0, (done.output, done.exception)
    return done.stdout


def test_the_command_line(tmp_path):
    script = tmp_path / "script.jsonl"
    # Nobody is in doubt: four samples of each question.
    script.write_text('"<action>5</action>"\n' * 200, encoding="utf-8")
    there = ("-t", "questions", "--data", asked(tmp_path), "--split", "test", "--protocol", "text", "-q")
    played = ("-m", f"scripted:{script}", *there, "-n", 6, "-o", tmp_path / "run")
    found = json.loads(lamarck("eval", *played, "--allocate", "blend", "--json"))
    assert found["allocation"] == {
        "rule": "blend", "budget": 36, "used": 24, "tasks": 6, "clear": 6, "least": 4, "median": 4.0, "most": 4,
        "left": 0,
    }  # fmt: skip
    assert found["picked"]["rule"] == "majority" and found["picked"]["success"]["value"] == 1.0
    assert found["picked"]["success"]["n"] == 6 and found["verdict"]["allowed"]
    assert found["all"]["figures"]["infrastructure"]["planned"] == 24
    said = lamarck("eval", tmp_path / "run")
    assert "24 of 36 (33 % saved), 4 to 4 per question" in " ".join(said.split())
    again = json.loads(lamarck("eval", "--again", tmp_path / "run", "-o", tmp_path / "again", "-q", "--json"))
    assert again["allocation"] == found["allocation"] and again["again"]["same"]
    # Of one that was killed in the middle, the next round is missing too, not only what was under way.
    with closing(sqlite3.connect(tmp_path / "again" / "store.db", isolation_level=None)) as store:
        store.execute("DELETE FROM trajectories WHERE sample > 2 OR (sample = 2 AND task_id NOT LIKE '%/1')")
        store.execute("UPDATE trajectories SET open = 1 WHERE sample = 2")
    killed = Played.read(RunDirectory(tmp_path / "again"))
    assert (killed.allocated.used, killed.allocated.left, killed.planned) == (12, 8, 20)
    # Where everyone gets as many, the evaluation is named as it always was.
    plain = ("eval", "-m", f"scripted:{script}", *there, "--limit", 2, "-o", tmp_path / "plain", "--json")
    assert "allocation" not in json.loads(lamarck(*plain))
    settings = json.loads((tmp_path / "plain" / "evaluation.json").read_text(encoding="utf-8"))["settings"]
    assert not {"collect.allocate", "collect.clear"} & set(settings)


def test_what_weighs_a_release_gives_each_task_the_same(tmp_path):
    # Pairs need as many samples on both sides, and probes are mostly no questions.
    machine = RunConfig.load(None, {"collect.samples": 8, "collect.allocate": "blend"})
    with opened(tmp_path) as releases:
        first = releases.put(draft())
    played = as_released(tmp_path, first.id, TasksetConfig(name="questions"), machine, samples=4)
    assert (played.collect.samples, played.collect.allocate) == (4, "uniform")


def test_wrong_settings_are_one_line(tmp_path):
    there = ("eval", "-t", "questions", "-m", "first", "-o", tmp_path / "run")
    assert "nothing to allocate" in lamarck(*there, "--allocate", "blend", code=2)
    assert "'uniform' or 'blend'" in lamarck(*there, "-n", 4, "--allocate", "most", code=2)
    assert "collect.clear" in lamarck(*there, "-n", 4, "--allocate", "blend", "-s", "collect.clear=0.4", code=2)
    assert not (tmp_path / "run").exists()
