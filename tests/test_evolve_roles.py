"""Solver, proposer and verifier of one model: what each was asked is stored apart, and trained on where wanted."""

import json
from collections import defaultdict
from types import SimpleNamespace

import pytest
import tiny_model
from canaries import MARKS
from judgements import attempt, verdict
from lamarck.agent.evolution.generation import Generation
from lamarck.agent.hooks import Judgement, Said
from lamarck.agent.scripted import ScriptedLLM
from lamarck.agent.verifiers.episodes import episodes
from lamarck.agent.verifiers.judge import JudgeVerifier
from lamarck.agent.verifiers.judgements import FILE, Judgements
from lamarck.agent.verifiers.vote import VoteVerifier
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving.budget import spent
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import attempts as attempts_in
from lamarck.cli.evolving.roles import Roles, check_roles
from lamarck.cli.evolving.verifying import Verifying
from lamarck.config_evolve import EvolveConfig
from lamarck.config_training import TrainConfig
from lamarck.core import Reply, ToolCall, Usage
from lamarck.errors import ConfigError
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from lamarck.training.base import load_base
from lamarck.training.prepared import held_back, prepare
from lamarck.training.rows import step_rows
from lamarck.training.sources import load_sources
from lamarck.training.stage import train
from lamarck.weights import weights_id
from tiny_folder import base
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import PreTrainedTokenizerFast

pytestmark = pytest.mark.filterwarnings("ignore")


def told(passed=True, confidence=0.9):
    """Return a verdict on an attempt of one step, written as one word."""
    form = {"steps": [{"step": 0, "score": 1, "confidence": 1}], "passed": passed, "score": float(passed)}
    return json.dumps(form | {"confidence": confidence, "critique": ""}, separators=(",", ":"))


def sums(text):
    return json.dumps({"expression": text}, separators=(",", ":"))


# What the model says in each part, in order. Two sums are made; each is tried twice.
PROPOSES = (sums("1+2"), "nonsense", sums("1+2"), sums("3+4"))
SOLVES = {"1 + 2": ("<action>3</action>", "<action>5</action>"), "3 + 4": ("<action>7</action>",) * 2}
JUDGES = {"1 + 2": ((told(),), (told(),)), "3 + 4": (("hm", "hm"), ("hm", told()))}
ORDER = (("1 + 2", 0), ("3 + 4", 0), ("1 + 2", 1), ("3 + 4", 1))
"""In which the attempts are played, one at a time."""
SAID = (*PROPOSES, sums("3+0"), *(word for said in SOLVES.values() for word in said), told(), told(False), "hm")
WORDS = ("<pad>", "<end>", "<unk>", "ask", *dict.fromkeys(SAID))
SETTINGS = {
    "generations": 1,
    "gated": False,
    "learn.memory": False,
    "learn.weights": False,
    "held_out.split": "valid",
    "propose.by": "sums",
    "propose.options": {"kinds": ["plus"]},
    "propose.tasks": 2,
    "propose.near": 1.0,
    "run.taskset.name": "questions",
    "run.collect.samples": 2,
    "run.collect.concurrency": 1,
    "run.solver.protocol": "text",
    "run.solver.max_steps": 1,
    "run.verify.by": "judge",
    "run.verify.options": {"calculate": False},
    "run.verify.record": True,
}


PLAIN = {key: value for key, value in SETTINGS.items() if not key.startswith(("propose.", "run.solver."))}


PRICE = Usage(prompt_tokens=2, completion_tokens=2, cost_usd=0.25, calls=1)


class Voice:
    """Says words with the token ids and log-probabilities that the tiny model in a folder has for them."""

    def __init__(self, folder):
        self.net = tiny_model.model(words=len(WORDS)).eval()
        made = Tokenizer(WordLevel({word: n for n, word in enumerate(WORDS)}, unk_token="<unk>"))
        made.pre_tokenizer = WhitespaceSplit()
        words = PreTrainedTokenizerFast(tokenizer_object=made, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
        self.net.save_pretrained(folder)
        words.save_pretrained(folder)
        self.version = weights_id(folder)

    def script(self, file, texts, usage=None):
        """Write a script in which these texts are said, and return the name of its model."""
        prompt = (WORDS.index("ask"), WORDS.index("<end>"))
        replies = []
        for text in texts:
            ids = (WORDS.index(text), WORDS.index("<end>"))
            reply = Reply(
                text=text, prompt_token_ids=prompt, token_ids=ids, model="tiny", policy_version=self.version,
                logprobs=tuple(tiny_model.logprobs(self.net, prompt, ids)), usage=usage or Usage(),
            )  # fmt: skip
            replies.append(reply.model_dump_json())
        file.write_text("\n".join(replies))
        return f"scripted:{file}"


def played(folder, voice, proposes=PROPOSES, solves=SOLVES, judges=JUDGES, order=ORDER, **settings):
    """Go through a generation of scripted parts."""
    home = Home(folder / "home")
    config = EvolveConfig.load(
        None,
        SETTINGS
        | {
            "propose.model": voice.script(folder / "proposer.jsonl", proposes, PRICE),
            "run.model.name": voice.script(folder / "solver.jsonl", [solves[goal][n] for goal, n in order]),
            "run.verify.model": voice.script(
                folder / "judge.jsonl", [text for goal, n in order for text in judges[goal][n]]
            ),
        }
        | settings,
    )
    check(config)
    (record,) = evolve(config, home, resume=False, quiet=True)
    return SimpleNamespace(home=home, config=config, record=record, folder=folder)


def stores(found):
    generation = found.home.generation(1)
    return tuple(str(generation / name) for name in ("collect", "roles/proposer", "roles/verifier"))


def attempts_of(found, role):
    return attempts_in(RunDirectory(found.home.generation(1) / "roles" / role))


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A generation in which one model has proposed, solved and judged."""
    folder = tmp_path_factory.mktemp("roles")
    voice = Voice(folder / "tiny")
    return played(folder, voice)


def test_a_proposal_earns_what_its_task_came_to(parts):
    """1 - 1/2 for the sum that was solved once, nothing for the one that is too easy, -1/2 and -1 for what is none."""
    found = attempts_of(parts, "proposer")
    assert [(one.steps[0].completion, one.reward) for one in found] == list(
        zip(PROPOSES, (0.5, -1, -0.5, 0), strict=True)
    )
    assert len({one.group_id for one in found}) == 1 and {one.task.split for one in found} == {"train"}
    told = parts.record.figures["verify"]["roles"]["proposer"]
    assert told == {"attempts": 4, "reward": -0.25, "right": 1, "left_out": {}}


def test_what_proposing_takes_is_in_the_budget(parts):
    told = parts.record.figures["propose"]
    assert (told["tokens"], told["cost_usd"]) == (4 * 4, 4 * 0.25)
    assert spent(parts.record, "cost_usd") == 1.0


def test_a_judgement_earns_whether_it_agrees_with_the_outcome(parts):
    found = {(one.task.id, one.sample): one for one in attempts_of(parts, "verifier")}
    by_goal = defaultdict(list)
    for (_, _), one in sorted(found.items()):
        by_goal[one.task.goal].append([step.reward for step in one.steps])
    # Right; passed what was wrong; never readable; readable and right when it was asked again.
    assert by_goal == {"What is 1 + 2?": [[1.0], [-0.5]], "What is 3 + 4?": [[-0.5, -1.0], [-0.5, 1.0]]}
    told = parts.record.figures["verify"]["roles"]["verifier"]
    assert told == {"attempts": 4, "reward": -0.125, "right": 2, "left_out": {}}
    assert all(one.task.truth is None and one.verdict is None for one in found.values())
    assert len({one.group_id for one in found.values()}) == 2


def test_three_roles_in_one_update(parts):
    """The mean of a group is its baseline: sums that were solved once, proposals of a kind, judgements at a task."""
    config = TrainConfig.load(
        None,
        {
            "kind": "grpo", "stores": stores(parts), "model": str(parts.folder / "tiny"),
            "samples.roles": ["solver", "proposer", "verifier"], "samples.rows": "step", "grpo.credit": "dr_grpo",
            "optimizer.batch": 16, "optimizer.accumulate": 1, "optimizer.max_steps": 1, "optimizer.threads": 1,
            "adapter.rank": 2, "report_to": [],
        },
    )  # fmt: skip
    sources = load_sources(config)
    loaded = load_base(config, parts.folder / "tiny")
    given = prepare(config, sources, loaded)
    role = {one.id: one.meta.get("role", "solver") for one in sources.trajectories}
    got = defaultdict(list)
    for weighed in given.train:
        (advantage,) = set(weighed.advantages)
        got[role[weighed.row.trajectory_id]].append((WORDS[weighed.row.completion_ids[0]], advantage))
    assert sorted(got["solver"]) == [("<action>3</action>", 0.5), ("<action>5</action>", -0.5)]
    assert got["proposer"] == list(zip(PROPOSES, (0.75, -0.75, -0.25, 0.25), strict=True))
    # 1 and -1/2 about 1/4; -3/2 and 1/2 about -1/2.
    right, wrong = (told(), 0.75), (told(), -0.75)
    assert sorted(got["verifier"]) == sorted([right, wrong, ("hm", -1.0), ("hm", -1.0), ("hm", 1.0), (told(), 1.0)])
    assert given.left_out == {"in groups that all got the same": 2}
    summary = train(config, sources, loaded, parts.folder / "out")
    assert summary.steps == 1 and summary.data.rows == 12
    assert summary.data.roles == {"solver": 4, "proposer": 4, "verifier": 4}
    assert (summary.data.tasks, summary.data.solved) == (2, 3)


def rows_of(parts, **samples):
    config = TrainConfig(kind="grpo", stores=stores(parts), samples=samples)
    found = load_sources(config)
    return found, [row for one in found.trajectories for row in step_rows(one)]


def test_without_the_setting_the_rows_are_those_of_the_solver(parts):
    alone, rows = rows_of(parts)
    before = load_sources(TrainConfig(kind="grpo", stores=stores(parts)[:1]))
    assert alone.trajectories == before.trajectories and len(rows) == 4
    assert alone.left_out == {"of role proposer": 4, "of role verifier": 4}
    assert len(rows_of(parts, roles=("verifier",))[0].trajectories) == 4
    sums_only = rows_of(parts, roles=("solver", "verifier"), tasks=[before.trajectories[0].task.id])[0]
    assert len(sums_only.trajectories) == 4 and len(sums_only.groups()) == 2


def test_roles_are_whitened_by_themselves(parts):
    """An estimator that compares over all groups says of each role what it says where there is no other."""
    loaded = []

    def advantages(*roles):
        config = TrainConfig.load(
            None,
            {
                "kind": "grpo", "stores": stores(parts), "model": str(parts.folder / "tiny"),
                "samples.roles": list(roles), "grpo.credit": "reinforce++",
            },
        )  # fmt: skip
        loaded.append(loaded[0] if loaded else load_base(config, parts.folder / "tiny"))
        found = prepare(config, load_sources(config), loaded[0]).train
        return {(one.row.trajectory_id, one.row.steps): one.advantages for one in found}

    each = [advantages(role) for role in ("solver", "proposer", "verifier")]
    assert advantages("solver", "proposer", "verifier") == each[0] | each[1] | each[2]


def test_verdicts_are_not_asked_of_who_proposed_or_judged(parts):
    found = rows_of(parts, roles=("solver", "proposer", "verifier"), outcome="verdict")[0]
    rewards = {(one.meta.get("role"), one.reward) for one in found.trajectories}
    assert {("proposer", -1.0), ("verifier", -1.5)} <= rewards and found.left_out == {"verifier abstained": 1}


def test_what_was_judged_is_held_back_with_its_task():
    config = TrainConfig(kind="sft", validate_share=0.5)
    tasks = [f"t/{n}" for n in range(40)]
    assert [held_back(config, f"verifier/{one}") for one in tasks] == [held_back(config, one) for one in tasks]
    assert {held_back(config, one) for one in tasks} == {True, False}


def test_they_are_made_once_and_whole(parts):
    """Killed before it had ended, it begins anew and comes to the same; when it had ended, nothing is done again."""
    folder = parts.home.generation(1)
    roles = Roles(parts.home, parts.config, Verifying(parts.home, parts.config))
    ids = {role: [one.id for one in attempts_of(parts, role)] for role in ("proposer", "verifier")}
    figures = {"roles": parts.record.figures["verify"]["roles"]}
    before = (folder / "roles" / "proposer" / "store.db").stat().st_mtime_ns
    assert roles.keep(parts.record) == figures
    assert (folder / "roles" / "proposer" / "store.db").stat().st_mtime_ns == before
    (folder / "roles").rename(folder / ".roles-new")
    (folder / ".roles-new" / "roles.json").unlink()
    assert roles.keep(parts.record) == figures and not (folder / ".roles-new").exists()
    assert {role: [one.id for one in attempts_of(parts, role)] for role in ids} == ids
    assert roles.keep(Generation(number=7, parent="p", head="h")) == {}


def test_they_are_no_attempts_of_the_generation(parts):
    figures = parts.record.figures
    assert figures["collect"]["attempts"] == 4 and figures["verify"]["known"] == 3
    with Store.open(parts.home.generation(1) / "collect" / "store.db", create=False) as store:
        assert {one.task.environment for one in store.headers()} == {"proposed"}


# Where truth is withheld.


def test_withheld_nobody_is_paid_for_agreeing_and_no_proposal_tells_the_answer(tmp_path):
    """The sum of 3 + 0 stands in its own proposal. By verdict, of 1 + 2 both attempts passed: too easy."""
    found = played(
        tmp_path,
        Voice(tmp_path / "tiny"),
        (sums("1+2"), "nonsense", sums("3+0")),
        {"1 + 2": SOLVES["1 + 2"], "3 + 0": SOLVES["3 + 4"]},
        {"1 + 2": JUDGES["1 + 2"], "3 + 0": ((told(),), (told(False),))},
        (("1 + 2", 0), ("3 + 0", 0), ("1 + 2", 1), ("3 + 0", 1)),
        **{"run.verify.withhold": True, "learn.by": "verdict"},
    )
    figures = found.record.figures["verify"]["roles"]
    assert figures["verifier"] == {"attempts": 0, "reward": None, "right": 0, "left_out": {"truth is withheld": 4}}
    assert figures["proposer"]["left_out"] == {"tell an answer that is withheld": 1}
    assert [(one.steps[0].completion, one.reward) for one in attempts_of(found, "proposer")] == [
        (sums("1+2"), 0.0),
        ("nonsense", -1.0),
    ]
    assert attempts_of(found, "verifier") == []


def test_nothing_of_the_truth_is_in_what_models_were_asked(tmp_path):
    """In a world that says everything to who looks."""
    script = tmp_path / "judge.jsonl"
    script.write_text('"hm"\n' * 16)
    settings = {
        "run.taskset.name": "signs:Signs", "run.model.name": "random", "run.verify.model": f"scripted:{script}",
        "held_out.split": "test", "propose.tasks": 4, "run.verify.withhold": True, "learn.by": "verdict",
        "run.solver.max_steps": 3,
    }  # fmt: skip
    config = EvolveConfig.load(None, PLAIN | settings)
    check(config)
    home = Home(tmp_path / "home")
    (record,) = evolve(config, home, resume=False, quiet=True)
    assert record.figures["verify"]["roles"]["verifier"]["left_out"] == {"truth is withheld": 8}
    asked = home.generation(1) / "collect" / FILE
    assert asked.read_text().count("Task: look") == 16
    files = [asked, *(one for one in (home.generation(1) / "roles").rglob("*") if one.is_file())]
    assert len(files) > 3 and not any(mark.encode() in one.read_bytes() for one in files for mark in MARKS)


# By hand.


async def judged(*answers, success=True, **options):
    llm = ScriptedLLM([Reply(text=one, token_ids=(n,), prompt_token_ids=(9,)) for n, one in enumerate(answers)])
    found = await JudgeVerifier(llm, calculate=False, **options).judge(attempt("a"))
    return episodes(attempt("a", success=success), found.heard, run_id="run")


async def test_judgements_by_hand():
    rewards = {}
    for name, answers in {"right": (told(),), "wrong": (told(False),), "unsure": (told(True, 0.0),)}.items():
        (rewards[name],) = [one.reward for one in await judged(*answers)]
    assert rewards == {"right": 1.0, "wrong": -0.5, "unsure": -0.5}
    (mended,) = await judged("hm", told(False), success=False)
    assert [(step.reward, step.validity, step.terminated) for step in mended.steps] == [
        (-0.5, "unparseable", False),
        (1.0, "valid", True),
    ]
    assert (mended.reward, mended.success, mended.task.id) == (0.5, True, "verifier/task")
    (never,) = await judged("hm", again=0)
    assert (never.reward, never.success) == (-1.0, False)
    assert await judged(told(), success=None) == ()


async def test_answers_that_ask_for_tools_are_rounds_of_the_step():
    asks = Reply(
        text="let me see", token_ids=(5,), logprobs=(-1.0,), prompt_token_ids=(9,),
        tool_calls=(ToolCall(id="c", name="calculate", arguments={"expression": "2 + 2"}),),
    )  # fmt: skip
    llm = ScriptedLLM([asks, Reply(text=told(), token_ids=(6,), logprobs=(-2.0,), prompt_token_ids=(9, 5, 7))])
    found = await JudgeVerifier(llm).judge(attempt("a"))
    (one,) = episodes(attempt("a", success=True), found.heard, run_id="run")
    (step,) = one.steps
    assert [call.result for call in step.tool_calls] == ["4"] and step.rounds[0].calls == ("c",)
    assert [(row.prompt_ids, row.completion_ids, row.logprobs) for row in step_rows(one)] == [
        ((9,), (5,), (-1.0,)),
        ((9, 5, 7), (6,), (-2.0,)),
    ]


async def test_each_judge_of_a_vote_has_its_own():
    def make(by, options):
        return JudgeVerifier(ScriptedLLM([told(options["says"])]), calculate=False)

    members = [{"by": "judge", "options": {"says": says}, "weight": 1 + says} for says in (True, False)]
    found = await VoteVerifier(members, make).judge(attempt("a"))
    attempts = episodes(attempt("a", success=True), found.heard, run_id="run", first=3)
    assert [(one.sample, one.reward) for one in attempts] == [(3, 1.0), (4, -0.5)]
    assert found.verdict.passed and len({one.id for one in attempts}) == 2


def test_a_line_that_was_cut_off_costs_its_judgement_alone(tmp_path):
    def heard(text):
        return (Judgement(verdict=verdict(), said=(Said(messages=(), reply=Reply(text=text)),)),)

    kept = Judgements(tmp_path)
    assert kept.read() == {}
    kept.add("a", heard("one\u2028line"))
    with (tmp_path / FILE).open("a") as file:
        file.write('{"trajectory_id": "b", "hea')
    kept.add("c", heard("x"))
    kept.add("a", heard("again"))
    assert {ident: said[0].said[0].reply.text for ident, said in kept.read().items()} == {"a": "again", "c": "x"}


# In training.


def test_an_evolution_trains_the_parts_that_it_names(tmp_path):
    """The judge is the model that plays: untrained, it says nothing that can be read, and never anything else."""
    folder = base(tmp_path / "tiny")
    settings = {
        "learn.weights": True, "learn.least": 2, "learn.temperature": 1.0,
        "propose.tasks": 4, "held_out.split": "test", "run.taskset.name": "signs:Signs", "run.solver.max_steps": 3,
        "run.solver.history": 1, "run.solver.summary": 0,
        "run.model.name": f"embedded:{folder}", "run.model.threads": 1, "run.collect.samples": 4,
        "run.verify.options": {"calculate": False, "max_tokens": 4}, "run.verify.record": False,
        "train.kind": "grpo", "train.samples.roles": ("solver", "verifier"), "train.optimizer.threads": 1,
        "train.optimizer.max_steps": 1, "train.report_to": [],
    }  # fmt: skip
    config = EvolveConfig.load(None, PLAIN | settings)
    check(config)
    home = Home(tmp_path / "home")
    (record,) = evolve(config, home, resume=False, quiet=True)
    assert record.figures["verify"]["roles"] == {
        "verifier": {"attempts": 16, "reward": -1.5, "right": 0, "left_out": {}}
    }
    trained = record.figures["train"]
    assert trained["roles"] == {"solver": 16, "verifier": 16} and trained["adapter"]
    (one, *_) = attempts_in(RunDirectory(home.generation(1) / "roles" / "verifier"))
    # With its log-probabilities: who judges is asked for them only to be trained.
    assert one.steps[0].policy_version == weights_id(folder) and 0 < len(one.steps[0].logprobs) <= 4
    kept = TrainConfig.load(home.generation(1) / "train" / "train.toml")
    assert [place.rpartition("generations/")[2] for place in kept.stores] == ["001/collect", "001/roles/verifier"]


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"train.samples.roles": ["proposer"]}, "roles has the proposer, and propose.model is none"),
        (
            {"train.samples.roles": ["proposer"], "propose.model": "gpt-x"},
            "roles has the proposer, and propose.model is gpt-x",
        ),
        ({"train.samples.roles": ["verifier"], "run.verify.by": "rule"}, "run.verify.by = rule asks no model"),
        (
            {"train.samples.roles": ["verifier"], "run.verify.by": "judge", "run.verify.model": "gpt-x"},
            "run.verify.model is gpt-x",
        ),
        ({"propose.model": "embedded", "propose.reward": "gold"}, "propose.reward is 'gold'; there are: azr"),
    ],
)
def test_parts_that_nobody_plays(settings, line):
    with pytest.raises(ConfigError, match=line):
        check_roles(EvolveConfig.load(None, settings))


def test_a_vote_with_a_judge_is_one_who_asks():
    members = [{"by": "recompute"}, {"by": "judge"}]
    within = [{"by": "rule"}, {"by": "vote", "options": {"members": members}}]
    for asked in (members, within):
        vote = {"run.verify.by": "vote", "run.verify.options": {"members": asked}}
        check_roles(EvolveConfig.load(None, {"train.samples.roles": ["solver", "verifier"], **vote}))
