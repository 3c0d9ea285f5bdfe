"""Splicing a bad attempt and a good one, and what training makes of it."""

import json
import re

import chats
import pytest
import tiny_folder
from judgements import verdict
from lamarck.agent.hosting import LocalPool
from lamarck.agent.prompting import Prompts
from lamarck.agent.verifiers.splicing import REVISION, error_in, revision, shared, splice
from lamarck.cli import train_splice
from lamarck.cli.app import app
from lamarck.cli.evolve import check
from lamarck.cli.train_splice import with_splices
from lamarck.config import SolverConfig
from lamarck.config_evolve import EvolveConfig
from lamarck.config_training import TrainConfig
from lamarck.core import Step, Task, Trajectory
from lamarck.errors import ConfigError, EnvironmentFailure
from lamarck.training.rows import text_rows
from lamarck.training.sources import load_sources
from typer.testing import CliRunner
from worlds import Corridor, Walks

TASK = Task(id="walks/0", goal="walk to the end", environment="walks")
OFFERED = ("left", "right", "look")


async def walked(*actions, ident, length=3, thoughts=None):
    """Return an attempt at the corridor as it would be stored."""
    world = Corridor(length)
    text, _ = world.reset()
    steps, won = [], False
    for n, action in enumerate(actions):
        thought = (thoughts or {}).get(n)
        said = f"<think>{thought}</think>\n<action>{action}</action>" if thought else f"<action>{action}</action>"
        steps.append(
            Step(
                index=n, observation=text, admissible=OFFERED, completion=said, action=action,
                token_ids=(1, 2), logprobs=(-1.0, -1.0),
            )
        )  # fmt: skip
        text, _, won, _, _ = world.step(action)
    return Trajectory(
        id=ident, run_id="run", task=TASK, steps=tuple(steps), final_observation=text, success=won,
        stop="terminated" if won else "max_steps",
    )  # fmt: skip


async def pair():
    bad = await walked("right", "right", "left", "left", "left", ident="bad")
    good = await walked("right", "right", "right", ident="good", thoughts={2: "Go on."})
    return bad, good


async def test_a_splice_by_hand():
    bad, good = await pair()
    assert shared(bad, good) == 2
    found = await splice(bad, good, 2, prompts=Prompts(), solver=SolverConfig(protocol="text"))
    assert found.holds is None
    [step] = found.trajectory.steps
    # After the error one stands at 1, not at 2: the good way no longer ends the walk, and nobody has looked.
    assert step.observation == "You are at 1 of 3." and step.action == "right"
    assert step.completion == f"<think>{REVISION}</think>\n<action>right</action>"
    said = [message.content for message in step.messages]
    assert sum("You are at" in text for text in said) == 4 and "left" in said[-2] and "right" in said[2]
    assert not step.token_ids and not step.logprobs
    assert found.trajectory.meta["spliced"] == {
        **{"bad": "bad", "good": "good", "error_at": 2, "common": 2, "replayed": False}
    }
    assert (found.trajectory.parent, found.trajectory.task) == ("bad", TASK)


async def test_carried_out_it_shows_whether_it_holds():
    bad, good = await pair()
    known = {"prompts": Prompts(), "solver": SolverConfig(protocol="text")}
    pool = LocalPool(Walks(length=3), "inline", size=1, timeout_s=5.0)
    async with pool.lease() as world:
        fails = await splice(bad, good, 2, world=world, **known)
        assert fails.holds is False and fails.trajectory.success is False
        longer = await walked("right", "right", "look", "right", "right", "right", ident="longer")
        worse = await walked("right", "right", "left", "left", ident="worse")
        holds = await splice(worse, longer, 2, world=world, **known)
        assert holds.holds is True and holds.trajectory.final_observation == "You are at 3 of 3."
        assert [step.observation for step in holds.trajectory.steps] == [
            *("You are at 1 of 3.", "Nothing happens.", "You are at 2 of 3.")
        ]
        assert holds.trajectory.steps[-1].terminated and holds.trajectory.reward == 1.0
        # Where the world shows something else than the bad attempt saw, there is nothing to splice.
        other = bad.model_copy(update={"steps": (bad.steps[0].model_copy(update={"observation": "x"}), *bad.steps[1:])})
        changed = good.model_copy(update={"steps": (other.steps[0], *good.steps[1:])})
        assert await splice(other, changed, 2, world=world, **known) is None
    await pool.close()


async def test_a_thought_is_a_step_of_its_own_where_there_are_thoughts():
    bad, good = await pair()
    found = await splice(bad, good, 2, prompts=Prompts(), solver=SolverConfig(protocol="react"), thought="Back.")
    first, second = found.trajectory.steps
    assert (first.completion, first.action, second.action) == ("Thought: Back.", None, "right")
    assert second.messages[-2].content == "Thought: Back." and second.messages[-1].content.startswith("OK.")
    assert first.observation == second.observation == "You are at 1 of 3."


async def test_what_cannot_be_spliced():
    bad, good = await pair()
    known = {"prompts": Prompts(), "solver": SolverConfig(protocol="text")}
    assert await splice(bad, good, 1, **known) is None  # the error is on the way that both went
    assert await splice(bad, good, 5, **known) is None  # there is no such step
    assert await splice(bad, await walked("right", "right", ident="short"), 2, **known) is None
    other = good.model_copy(update={"task": TASK.model_copy(update={"id": "other"})})
    assert await splice(bad, other, 2, **known) is None


@pytest.mark.parametrize("protocol", ["text", "react", "choice"])
async def test_training_teaches_the_way_back_and_never_the_error(protocol):
    bad = await walked("right", "left", "left", ident="bad")
    good = await walked("right", "right", "right", ident="good")
    found = await splice(bad, good, 1, prompts=Prompts(), solver=SolverConfig(protocol=protocol))
    tokenizer = chats.tokenizer()
    rows = text_rows(found.trajectory, tokenizer)
    taught = [
        tokenizer.decode([t for t, known in zip(row.completion_ids, row.loss_mask, strict=True) if known])
        for row in rows
    ]
    assert len(rows) == len(found.trajectory.steps) and not any("left" in text for text in taught)
    assert sum("right" in text for text in taught) == 2 and not any(row.on_record for row in rows)
    assert re.search("left", tokenizer.decode(rows[0].prompt_ids))


async def test_the_error_is_the_verdict_s_or_where_they_part():
    bad, good = await pair()
    assert error_in(bad, good) == 2
    scored = (1.0, 0.0, 0.5, -1.0, -1.0)
    assert error_in(bad.model_copy(update={"verdict": verdict(False, step_scores=scored)}), good) == 3
    # The good one did that too, so it was none.
    assert error_in(bad.model_copy(update={"verdict": verdict(False, step_scores=(-1.0, *scored[1:]))}), good) == 2
    assert error_in(bad.model_copy(update={"verdict": verdict(False, step_scores=scored)}), good, 0.75) == 2


def test_thoughts_that_take_an_error_back_are_drawn():
    drawn = {revision(0, f"attempt {n}") for n in range(200)}
    assert len(drawn) == 10 and REVISION in drawn
    assert revision(0, "a") == revision(0, "a") and len({revision(seed, "a") for seed in range(30)}) > 3


async def test_what_the_world_does_not_offer_is_not_taught():
    bad = await walked("right", "look", "look", ident="bad")
    good = await walked("right", "jump", "right", "right", ident="good")
    pool = LocalPool(Walks(length=3), "inline", size=1, timeout_s=5.0)
    known = {"prompts": Prompts(), "solver": SolverConfig(protocol="text")}
    async with pool.lease() as world:
        assert await splice(bad, good, 1, world=world, **known) is None
        # An answer that the world did not take is no step of the way.
        steps = (good.steps[0], good.steps[1].model_copy(update={"validity": "not_admissible"}), *good.steps[2:])
        found = await splice(bad, good.model_copy(update={"steps": steps}), 1, world=world, **known)
        assert found.holds and [step.action for step in found.trajectory.steps] == ["right", "right"]
    await pool.close()


# Four attempts at one walk: one looks about until it is over, one is solved, one goes back, one never leaves.
SAID = ("right look look look", "right right right", "right left left left", "left left left left")


@pytest.fixture(scope="module")
def walks(tmp_path_factory):
    """A run of these, and a model that can be trained."""
    folder = tmp_path_factory.mktemp("splices")
    words = [f"<think>Well.</think><action>{word}</action>" for said in SAID for word in said.split()]
    (folder / "said.jsonl").write_text("\n".join(json.dumps({"text": text}) for text in words))
    ask(
        "run", "--taskset", "worlds:Walks", "--set", "taskset.options.n=1", "--model", f"scripted:{folder}/said.jsonl",
        "--protocol", "text", "--samples", len(SAID), "--concurrency", 1, "--max-steps", 4, "--out", folder / "run",
    )  # fmt: skip
    tiny_folder.base(folder / "tiny")
    return folder


def ask(*arguments):
    done = CliRunner().invoke(app, [*map(str, arguments)])
    assert done.exception is None, done.output
    return done


@pytest.mark.filterwarnings("ignore")
def test_training_splices_what_failed_with_what_was_solved(walks, tmp_path):
    asked = ("train", "sft", "--store", walks / "run", "--model", walks / "tiny", "--rank", 2, "--max-steps", 1)
    plain = json.loads(ask(*asked, "--json", "--out", tmp_path / "plain").stdout)["data"]
    assert (plain["attempts"], plain["spliced"], plain["left_out"]) == (1, 0, {"not solved": 3})
    done = ask(*asked, "--out", tmp_path / "spliced", "--set", "samples.splice=true")
    # Who has gone back is not where the rest of the good way leads to the end.
    assert "spliced 2 of 3 failed attempts that have a solved sibling" in done.stderr
    assert "spliced: 2 of the attempts, of a failed one and the way of a solved sibling" in done.stdout
    config = TrainConfig.load(tmp_path / "spliced" / "train.toml")
    found = with_splices(config, load_sources(config), lambda text: None)
    [good, made, other] = found.trajectories
    assert [step.action for step in other.steps] == ["right"] * 3
    assert good.sample == 1 and made.meta["spliced"]["good"] == good.id and made.meta["spliced"]["replayed"]
    assert [step.action for step in made.steps] == ["right", "right"] and made.success and made.steps[-1].terminated
    assert [step.observation for step in made.steps] == ["Nothing happens.", "You are at 2 of 3."]
    assert made.steps[0].completion == f"<think>{revision(0, made.parent)}</think>\n<action>right</action>"
    assert "<action>look</action>" in made.steps[0].messages[-2].content


@pytest.fixture
def slow(monkeypatch):
    """Return what makes all worlds too slow from there on."""

    async def late(*arguments):
        raise EnvironmentFailure("It did not answer in time.")

    return lambda: monkeypatch.setattr(train_splice, "_one", late)


@pytest.mark.filterwarnings("ignore")
def test_a_stage_goes_on_with_the_splices_it_began_with(walks, tmp_path, slow):
    asked = ("train", "sft", "--store", walks / "run", "--model", walks / "tiny", "--rank", 2, "--json")
    asked += ("--out", tmp_path / "stage", "--set", "samples.splice=true")
    begun = json.loads(ask(*asked, "--max-steps", 1).stdout)
    slow()
    ended = json.loads(ask(*asked, "--max-steps", 2, "--resume").stdout)
    assert begun["data"]["spliced"] == 2 and ended["data"] == begun["data"]
    assert (begun["steps"], ended["steps"]) == (1, 2)


def test_splices_are_made_once_of_the_same_attempts(walks, tmp_path, slow):
    file, told = tmp_path / "splices.jsonl", []

    def spliced(seed=0):
        settings = {"kind": "sft", "stores": [str(walks / "run")], "samples.splice": True, "seed": seed}
        config = TrainConfig.load(None, settings)
        return with_splices(config, load_sources(config), told.append, file).trajectories

    first, read = spliced(), f"2 splices were made before, and are read from {file}"
    assert spliced() == first and told[1:] == [read]
    # By another seed they are others; and what is damaged is made anew.
    assert len(spliced(seed=1)) == 3 and spliced() == first and read not in told[2:]
    file.write_text(file.read_text()[:-9])
    assert spliced() == first and read not in told[2:]
    slow()
    assert spliced() == first and told[-1] == read
    file.unlink()
    assert len(spliced()) == len(first) - 2 == 1


async def test_an_evolution_splices_while_its_loop_runs(walks):
    config = TrainConfig.load(None, {"kind": "sft", "stores": [str(walks / "run")], "samples.splice": True})
    found = with_splices(config, load_sources(config), lambda text: None)
    assert sum("spliced" in one.meta for one in found.trajectories) == 2


@pytest.mark.parametrize(
    ("kind", "settings", "words"),
    [
        ("grpo", {"samples.splice": True}, "samples.splice is set, with kind grpo"),
        ("sft", {"samples.splice": True, "samples.outcome": "verdict"}, "splice asks worlds whether an attempt ends"),
    ],
)
def test_what_splicing_is_not_for(walks, kind, settings, words):
    with pytest.raises(ConfigError, match=words):
        config = TrainConfig.load(None, {"kind": kind, "stores": [str(walks / "run")], **settings})
        with_splices(config, load_sources(config), lambda text: None)


def test_an_evolution_that_learns_by_verdicts_asks_no_world_about_splices():
    settings = {"learn.by": "verdict", "run.verify.by": "recompute", "train.samples.splice": True}
    with pytest.raises(ConfigError, match=r"train.samples.splice asks worlds"):
        check(EvolveConfig.load(None, settings))
