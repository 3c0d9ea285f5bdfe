"""The conformance suite passes sound worlds, and finds each planted fault with the check that is meant for it."""

import json
import subprocess
import sys

import broken_worlds as broken
import pytest
from games import real_or_own
from lamarck.agent.tasksets import load_taskset, maker
from lamarck.errors import ConfigError
from lamarck.evals.household import HouseholdTaskset
from lamarck.evals.questions import QuestionsTaskset
from lamarck.evals.worlds.conformance import CHECKS, Settings, conform, examine
from remote import example_server
from shell import HERE, complaint, lamarck
from worlds import Corridor, Walks

FEW = Settings(episodes=4, steps=12)
ECHOES = {
    "seeding": {"determinism", "snapshot", "concurrency"},
    "determinism": {"snapshot", "concurrency"},
    "contract": set(CHECKS) - {"tasks", "contract"},
}
"""What cannot be judged where one check fails; nothing else where it is not named."""


@pytest.fixture
def tidy():
    yield
    broken.tidy()


def outcomes(report):
    return {finding.check: finding.outcome for finding in report.findings}


def sound(report, *, lacks=()):
    found = outcomes(report)
    assert list(found) == list(CHECKS)
    assert found == dict.fromkeys(CHECKS, "pass") | dict.fromkeys(lacks, "not offered"), report.failures


def test_a_sound_world_passes_every_check():
    sound(examine(broken.Cellars(), FEW, make=broken.Cellars))


@pytest.mark.parametrize("make", [broken.ThreadedCellar, broken.AwaitedCellar])
def test_a_sound_world_passes_however_it_is_called(make):
    lacks = ("snapshot",) if make is broken.AwaitedCellar else ()
    report = examine(broken.Cellars(make), FEW)
    assert report.passed, report.failures
    assert lacks or outcomes(report) == dict.fromkeys(CHECKS, "pass")
    assert make.concurrency in report.finding("concurrency").detail
    assert "given as an object" in report.finding("determinism").detail


def test_a_sound_world_in_processes():
    report = examine(broken.in_processes(), FEW, make=broken.in_processes, only=("concurrency", "contract"))
    assert set(outcomes(report).values()) == {"pass"}, report.findings
    assert "process: 4 episodes" in report.finding("concurrency").detail
    alone = examine(broken.in_processes(), FEW, only=["concurrency"])
    assert outcomes(alone) == {"concurrency": "not judged"}


@pytest.mark.parametrize("world", broken.FAULTS, ids=lambda world: world.__name__)
def test_a_planted_fault_is_found_by_the_check_that_is_meant_for_it(world, tidy):
    check, words = broken.FAULTS[world]
    report = examine(broken.Cellars(world), FEW)
    assert [finding.check for finding in report.failures] == [check], report.failures
    assert words in report.failures[0].detail
    unjudged = {finding.check for finding in report.findings if finding.outcome == "not judged"}
    assert unjudged == ECHOES.get(check, set()) - ({"determinism", "snapshot", "concurrency"} & passing(report))


def passing(report):
    return {finding.check for finding in report.findings if finding.outcome == "pass"}


def test_an_end_that_nobody_saw_is_not_judged():
    report = examine(Walks(length=40), FEW, only=["termination"])
    assert report.passed and outcomes(report) == {"termination": "not judged"}
    assert "no episode ended within 24 steps" in report.finding("termination").detail


def test_what_fails_can_be_seen_again():
    [failed] = examine(broken.Cellars(broken.Promising), FEW).failures
    task = next(task for task in broken.Cellars().tasks("train") if task.id == failed.spot.task)
    world = broken.Promising()
    world.reset(seed=failed.spot.seed, task=task)
    for action in failed.spot.actions:
        *_, info = world.step(action)
    assert failed.spot.actions[-1] == "open the gate" and info["effective"] is False
    assert failed.as_json()["actions"] == list(failed.spot.actions)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (broken.UnstableIds, "a second call lists 'cellars/"),
        (broken.HashedIds, "another process lists 'cellars/"),
        (broken.SameSplits, "of split test is task 'cellars/train/0' of split train"),
    ],
)
def test_tasks_that_are_not_addressed_well(make, words):
    report = examine(make(), FEW, make=make, only=("tasks", "contract", "seeding", "termination", "admissible"))
    assert [finding.check for finding in report.failures] == ["tasks"] and words in report.failures[0].detail


def test_a_world_that_depends_on_the_order_of_sets_differs_in_a_fresh_process_only():
    report = examine(broken.hash_order(), FEW, make=broken.hash_order)
    assert [finding.check for finding in report.failures] == ["determinism"]
    assert "in a fresh process" in report.failures[0].detail
    assert examine(broken.hash_order(), FEW, only=["determinism"]).passed


class Odd(Corridor):
    """Returns in its step whatever it is told to."""

    said = ("text", 0.0, False, False, {})

    def step(self, action):
        return self.said


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (("text", 0.0, False), "not a tuple of 5"),
        ("text", "not a tuple of 5"),
        ((None, 0.0, False, False, {}), "the observation None, not text"),
        (("\ud800", 0.0, False, False, {}), "UTF-8"),
        (("text", float("nan"), False, False, {}), "the reward nan"),
        (("text", "1", False, False, {}), "the reward '1'"),
        (("text", 0.0, "no", False, {}), "terminated 'no'"),
        (("text", 0.0, False, None, {}), "truncated None"),
        (("text", 0.0, False, False, None), "info None"),
        (("text", 0.0, False, False, {1: 2}), "info {1: 2}"),
        (("text", 0.0, False, False, {"success": "yes"}), "info['success'] as 'yes'"),
        (("text", 0.0, False, False, {"effective": 1}), "info['effective'] as 1"),
        (("text", 0.0, False, False, {"score": 7}), "info['score'] as 7"),
        (("text", 0.0, False, False, {"admissible_actions": "look"}), "a list of texts"),
        (("text", 0.0, False, False, {"admissible_actions": ["look", 3]}), "as 3"),
        (("text", 0.0, False, False, {"admissible_actions": ["look", " "]}), "something in them"),
        (("text", 0.0, False, False, {"admissible_actions": ["a", "b", "a"]}), "listed once only"),
    ],
)
def test_contract_names_what_is_wrong(said, words):
    report = examine(Walks(type("Odd", (Odd,), {"said": said})), FEW, only=["contract"])
    [failed] = report.failures
    assert words in failed.detail and failed.spot.task == "walks/0" and len(failed.spot.actions) == 1


def test_contract_reads_old_gym_tolerantly_and_says_so():
    old = type("Old", (Odd,), {"said": ("text", 0.0, False, {})})
    report = examine(Walks(old), FEW, only=["contract"])
    assert report.passed and "four values" in report.finding("contract").detail


@pytest.mark.parametrize(("name", "value"), [("max_steps", 0), ("recycle_after", "2"), ("concurrency", "magic")])
def test_contract_reads_what_the_class_declares(name, value):
    report = examine(Walks(type("Declaring", (Corridor,), {name: value})), FEW, only=["contract"])
    assert not report.passed and repr(value) in report.failures[0].detail


def test_a_world_that_raises_fails_once():
    class Breaking(Corridor):
        def reset(self, *, seed=None, task=None):
            raise RuntimeError("no light")

    report = examine(Walks(Breaking), FEW)
    assert [finding.check for finding in report.failures] == ["contract"]
    assert "reset raised RuntimeError: 'no light'" in report.failures[0].detail
    assert report.finding("leak").outcome == "not judged" and "see contract" in report.finding("leak").detail


def test_a_world_that_lists_nothing_has_that_said():
    report = examine(QuestionsTaskset(count=4), FEW, make=maker("questions", {"count": 4}))
    sound(report, lacks=("snapshot", "admissible"))
    assert "8 episodes played to their end, 4 of them by a walkthrough" in report.finding("termination").detail


def test_household_passes():
    options = {"size": "tiny", "games": 12}
    report = examine(HouseholdTaskset(**options), FEW)
    sound(report)
    assert "4 of them by a walkthrough with success" in report.finding("termination").detail


@pytest.mark.parametrize(
    ("name", "lacks"),
    [("webshop", ()), ("hotpotqa", ()), ("gymnasium", ("snapshot",))],
)
def test_worlds_that_need_no_data_pass(name, lacks):
    only = [check for check in CHECKS if check not in ("speed", "leak")]
    report = examine(load_taskset(name), Settings(episodes=3, steps=10), only=only)
    assert outcomes(report) == dict.fromkeys(only, "pass") | dict.fromkeys(lacks, "not offered"), report.findings


def test_a_world_played_over_openenv_passes():
    command = [sys.executable, "-m", "lamarck", "env", "serve", "broken_worlds:Cellars", "--port", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE) as process:
        said = ""
        while not said.rstrip().endswith("}"):
            said += process.stdout.readline()
        options = {"url": json.loads(said)["url"]}
        report = examine(load_taskset("openenv", options), FEW, make=maker("openenv", options))
        process.terminate()
    sound(report, lacks=["snapshot"])


def test_a_world_of_the_real_openenv_package_passes():
    with example_server(sessions=40) as server:
        options = {"url": server.url}
        report = examine(load_taskset("openenv", options), FEW, make=maker("openenv", options))
    assert set(outcomes(report)) == set(CHECKS) and not report.failures
    passed = {check for check, outcome in outcomes(report).items() if outcome == "pass"}
    assert passed >= set(CHECKS) - {"snapshot", "termination", "admissible"}, report.findings


def test_alfworld_passes(tmp_path):
    taskset, _ = real_or_own(tmp_path, "valid_seen", 6)
    report = examine(taskset, Settings("valid_seen", episodes=3, steps=12))
    sound(report)
    assert "6 episodes played to their end, 3 of them by a walkthrough" in report.finding("termination").detail


def test_a_world_that_dies_or_hangs_fails_one_check_and_the_others_go_on(tmp_path):
    arguments = ("--episodes", 3, "--steps", 8, "--only", "bad-actions", "--only", "termination", "--only", "speed")
    done = lamarck("env", "test", "broken_worlds:dying", *arguments, "--json", code=1)
    report = json.loads(done.stdout)
    found = {row["check"]: row for row in report["checks"]}
    assert {name: row["outcome"] for name, row in found.items()} == {
        "termination": "pass",
        "bad-actions": "fail",
        "speed": "pass",
    }
    assert "died (exit code 3)" in found["bad-actions"]["detail"] and "\0" in found["bad-actions"]["actions"][-1]
    assert report["counts"] == {"pass": 2, "fail": 1, "not offered": 0, "not judged": 0} and not report["passed"]
    done = lamarck("env", "test", "broken_worlds:hanging", *arguments, "--timeout", 1, code=1)
    assert "no answer within 1 s" in done.stdout and "bad-actions: to see it again: task cellars/train/0" in done.stdout


def test_the_command_on_a_sound_world():
    few = ("--episodes", 3, "--steps", 8, "--split", "test", "--only", "seeding", "--only", "leak")
    done = lamarck("env", "test", "broken_worlds:Cellars", *few)
    assert done.stdout.count("pass") == 2 and "split test" in done.stdout


def test_a_wrong_request_is_one_line():
    assert "no split 'attic'; there are: train, test" in complaint(
        "env", "test", "broken_worlds:Cellars", "--split", "attic"
    )


def test_wrong_checks_are_named_in_code_too():
    with pytest.raises(ConfigError, match="no check 'beauty'"):
        conform("household", only=["beauty"])
    with pytest.raises(ConfigError, match="no split 'attic'; there are: train, test"):
        examine(broken.Cellars(), Settings("attic"))
    with pytest.raises(ConfigError, match="at least 1 episode"):
        Settings(episodes=0)
