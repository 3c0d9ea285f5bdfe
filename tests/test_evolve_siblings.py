"""Verifiers that go by siblings: what counts is what they say when all attempts are there, not as they end."""

import asyncio
import json
import shutil
from types import SimpleNamespace

import pytest
import turns
from lamarck.agent.verifiers.consistency import ConsistencyVerifier
from lamarck.agent.verifiers.records import Verdicts
from lamarck.agent.verifiers.table import by_siblings, called, named
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving.budget import spent
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.evolving.verifying import Verifying
from lamarck.cli.evolving.words import came_to, said
from lamarck.cli.wire_verify import JUDGING, judging_tools
from lamarck.config import RunConfig
from lamarck.config_evolve import EvolveConfig
from lamarck.config_tools import ToolsConfig
from lamarck.config_training import TrainConfig
from lamarck.rundir import RunDirectory
from lamarck.training.sources import load_sources

SETTINGS = {
    "generations": 2,
    "grow": "latest",
    "gated": False,
    "propose.tasks": 4,
    "learn.by": "verdict",
    "learn.weights": False,
    "held_out.split": "test",
    "held_out.limit": 2,
    "run.taskset.name": "turns:Turns",
    "run.taskset.options": {},
    "run.model.name": "random",
    "run.solver.max_steps": 1,
    "run.collect.samples": turns.SAMPLES,
    "run.collect.concurrency": 4 * turns.SAMPLES,
    "run.verify.by": "consistency",
    "run.verify.trust.least": 100,
}


def evolved(folder, order, **settings):
    """Evolve a home whose attempts end in this order of their answers."""
    turns.Turns.home, turns.Turns.order = folder, order
    turns.GIVEN.clear()
    config = EvolveConfig.load(None, SETTINGS | settings)
    check(config)
    records = evolve(config, Home(folder), resume=False, quiet=True)
    return SimpleNamespace(home=Home(folder), config=config, records=records)


def both(folder, **settings):
    return tuple(evolved(folder / order[0], order, **settings) for order in (turns.ANSWERS, turns.ANSWERS[::-1]))


@pytest.fixture(scope="module", params=["known", "withheld"])
def pair(request, tmp_path_factory):
    """Two evolutions that differ in nothing but the order in which attempts end."""
    settings = {"known": {"generations": 1}, "withheld": {"run.verify.withhold": True}}[request.param]
    return both(tmp_path_factory.mktemp("orders"), **settings)


def numbers(found):
    return range(1, found.config.generations + 1)


def played(found, number):
    return attempts(RunDirectory(found.home.generation(number) / "collect"))


def in_loop(found, number):
    """Return task and sample -> what was said of it while its siblings still played."""
    judged = {(one.task.id, one.sample): one.verdict for one in played(found, number)}
    return {key: one.passed if one is not None and one.judge == "consistency" else None for key, one in judged.items()}


def counting(found, number):
    """Return task and sample -> whether it was accepted, and its reward, for memory and proposers."""
    counted, _ = Verifying(found.home, found.config).counting(number)
    return {(one.task.id, one.sample): (one.success, one.reward) for one in counted}


def trained(found, number):
    """Return task and sample -> whether it was accepted, and its reward, for the weights."""
    runs = tuple(str(found.home.generation(n) / "collect") for n in range(1, number + 1))
    samples = Verifying(found.home, found.config).samples(number)
    read = load_sources(TrainConfig(kind="grpo", stores=runs, samples=samples))
    rows = {(one.run_id, one.task.id, one.sample): (one.success, one.reward) for one in read.trajectories}
    return list(rows.values()), read.left_out


def by_hand(found, number):
    """Return task and sample -> whether its answer is the most frequent one of its task, None where there is a tie."""
    answers = {(one.task.id, one.sample): one.steps[-1].action for one in played(found, number)}
    said = {}
    for task, sample in answers:
        given = sorted(answer for (other, _), answer in answers.items() if other == task)
        votes = sorted((given.count(answer) for answer in set(given)), reverse=True)
        tied = len(votes) > 1 and votes[0] == votes[1]
        said[task, sample] = None if tied else given.count(answers[task, sample]) == votes[0]
    return said


def plain(found):
    """Return what the records say, but for names of runs and for how long things took."""
    return [(one.candidate, one.parent, one.figures) for one in found.records]


def test_the_order_in_which_attempts_end_changes_nothing_that_counts(pair):
    one, other = pair
    assert plain(one) == plain(other)
    assert one.records[-1].candidate != one.records[0].parent
    for number in numbers(one):
        assert [a.steps[-1].action for a in played(one, number)] == [a.steps[-1].action for a in played(other, number)]
        assert counting(one, number) == counting(other, number)
        assert trained(one, number) == trained(other, number)


def test_what_counts_is_the_plurality_of_all_attempts(pair):
    for found in pair:
        wanted = {number: by_hand(found, number) for number in numbers(found)}
        assert {True, False} <= {*wanted[1].values()}
        for number, told in wanted.items():
            heard = {key: passed for key, passed in told.items() if passed is not None}
            assert {key: success for key, (success, _) in counting(found, number).items()} == heard
            figures = found.records[number - 1].figures
            assert figures["verify"]["verdicts"] == len(heard)
            assert figures["verify"]["accepted"] == sum(heard.values())
            assert figures["credit"]["attempts"] == len(heard)


def test_what_was_said_in_the_loop_is_another_thing_and_hangs_on_the_order(pair):
    one, other = pair
    assert in_loop(one, 1) != in_loop(other, 1)
    assert in_loop(one, 1) != by_hand(one, 1) and in_loop(other, 1) != by_hand(other, 1)


def test_alarms_and_words_go_by_what_counts(pair):
    for found in pair:
        first = found.records[0]
        rewards = [reward for _, reward in counting(found, 1).values()]
        assert first.figures["collect"]["reward"] is None and "accepted" not in first.figures["collect"]
        # Nothing is corrected on so few verdicts, so a reward is the score of the verdict.
        assert first.played["reward"] == pytest.approx(sum(rewards) / len(rewards))
        if found.config.run.verify.withhold:
            accepted = sum(passed is True for passed in by_hand(found, 1).values())
            assert came_to(first.played) == f"{accepted}/16 accepted" and f"{accepted} of 16 accepted" in said(first)
            assert came_to(first.figures["collect"]) == "?/16 accepted"
        else:
            assert came_to(first.played).endswith("/16") and "solved" in said(first)


def test_the_agreement_is_that_of_what_counts(pair):
    for found in pair:
        if found.config.run.verify.withhold:
            continue
        wanted = by_hand(found, 1)
        cases = [(wanted[one.task.id, one.sample], one.success) for one in played(found, 1)]
        wrong = [passed for passed, success in cases if passed is not None and not success]
        file = json.loads((found.home.generation(1) / "agreement.json").read_text())
        [entry] = file["verifiers"]
        assert entry["judge"] == "consistency" and entry["n"] == sum(passed is not None for passed, _ in cases)
        assert entry["accepts_wrong"]["value"] == sum(wrong) / len(wrong)


def _turned(verdict):
    return verdict.model_copy(update={"passed": not verdict.passed})


def test_it_is_the_same_after_a_kill_in_the_middle_of_judging(pair, tmp_path):
    """What a process left that died: a line cut in two, and a verdict that was given without one of its siblings."""
    found = pair[0]
    home = Home(shutil.copytree(found.home.path, tmp_path / "home"))
    run = home.generation(1) / "collect"
    whole = Verdicts(run).read("consistency").records
    [file] = (run / "verdicts").glob("*.jsonl")
    head, *lines = file.read_text().splitlines()
    missing = next(ident for ident, record in whole.items() if record.verdict.passed)
    task = next(one.task.id for one in played(found, 1) if one.id == missing)
    beside = {one.id for one in played(found, 1) if one.task.id == task} - {missing}
    stale = [
        record.model_copy(update={"siblings": turns.SAMPLES - 1, "verdict": _turned(record.verdict)})
        if ident in beside
        else record
        for ident, record in whole.items()
        if ident != missing
    ]
    file.write_text("\n".join([head, *(one.model_dump_json() for one in stale), lines[-1][: len(lines[-1]) // 2]]))
    verifying = Verifying(home, found.config)
    assert asyncio.run(verifying.verify(found.records[0])) == found.records[0].figures["verify"]
    again = Verdicts(run).read("consistency").records
    assert {key: one.verdict for key, one in again.items()} == {key: one.verdict for key, one in whole.items()}
    size = file.stat().st_size
    assert asyncio.run(verifying.verify(found.records[0])) == found.records[0].figures["verify"]
    assert file.stat().st_size == size, "nothing is judged twice"


def test_in_chains_each_link_is_judged_when_it_has_ended(tmp_path):
    one, other = both(tmp_path, **{"learn.chain": 2, "generations": 1})
    assert plain(one) == plain(other) and counting(one, 1) == counting(other, 1)
    assert one.records[0].figures["distil"]["new"] > 0
    assert in_loop(one, 1) != in_loop(other, 1)


class Priced(ConsistencyVerifier):
    """Goes by siblings, and asks somebody who wants to be paid."""

    name = "priced"

    async def judge(self, trajectory):
        from lamarck.agent.hooks import Judged
        from lamarck.core import Usage

        return Judged(
            await self.verify(trajectory), Usage(prompt_tokens=5, completion_tokens=2, cost_usd=0.25, calls=1)
        )


def test_what_judging_afterwards_takes_is_in_the_budget(tmp_path):
    # 16 attempts at 7 tokens and a quarter each, while they play and when they have; the second generation is too much.
    settings = {"run.verify.by": "test_evolve_siblings:Priced", "budget.max_cost_usd": 8.0}
    found = evolved(tmp_path / "home", turns.ANSWERS, **settings)
    [record] = found.records
    assert (record.figures["verify"]["tokens"], record.figures["verify"]["cost_usd"]) == (112, 4.0)
    assert (record.figures["collect"]["tokens"], record.figures["collect"]["cost_usd"]) == (112, 4.0)
    assert spent(record, "tokens") == 224 and spent(record, "cost_usd") == 8.0
    assert Verdicts(found.home.generation(1) / "collect").judges() == ["priced"]


class Loner:
    """Asks for siblings, and says nothing of whether it goes by them."""

    name = "loner"

    def __init__(self, siblings):
        self.siblings = siblings


class Collector(Loner):
    """Only counts them."""

    by_siblings = False


def test_which_verifiers_go_by_siblings():
    here = "test_evolve_siblings"
    assert all(by_siblings(name, {}) for name in ("consistency", f"{here}:Loner", f"{here}:Priced"))
    assert not any(by_siblings(name, {}) for name in ("none", "rule", "judge", "certainty", f"{here}:Collector"))
    rule, consistency = {"by": "rule"}, {"by": "consistency", "weight": 0.5}
    assert not by_siblings("vote", {"members": [rule]}) and by_siblings("vote", {"members": [rule, consistency]})
    assert by_siblings("vote", {"members": [rule, {"by": "vote", "options": {"members": [consistency]}}]})
    assert (called("consistency"), called(f"{here}:Loner"), called("vote")) == ("consistency", "loner", "vote")


def test_who_is_asked_within_a_vote_is_known_and_has_its_tools():
    within = {"by": "vote", "options": {"members": [{"by": "code"}, {"by": 3}, {"by": "judge", "options": None}]}}
    options = {"members": [{"by": "rule"}, within, "no table"]}
    assert named("vote", options) == ("vote", "rule", "vote", "code", "judge")
    config = RunConfig.load(None, {"verify.by": "vote", "verify.options": options})
    assert judging_tools(config) == JUDGING and judging_tools(RunConfig()) == ToolsConfig()
