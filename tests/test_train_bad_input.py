"""Whatever is wrong with what training is given: one line that says what, which id, and what to do."""

import json
import math
from itertools import pairwise
from pathlib import Path

import pytest
import tiny_model
from lamarck.config_training import TrainConfig
from lamarck.errors import ConfigError, TrainingError
from lamarck.training.adapters import save, weights_id
from lamarck.training.base import load_base, require
from lamarck.training.checks import LOOKED_AT, spread_out
from lamarck.training.examples import judged, pairs
from lamarck.training.guests import guest
from lamarck.training.prepared import held_back, prepare
from lamarck.training.rows import Row
from lamarck.training.sources import Sources
from safetensors.torch import load_file, save_file
from stored import CRASH, ID, WEIGHTS, attempt, base, change

BASE = base()
OTHER = "b" * 12
WON = attempt("won", "open red", "look left", task="a")
LOST = attempt("lost", "open blue", "look right", task="a", won=0.0)


def prepared(kind, *attempts, base=BASE, **settings):
    return prepare(TrainConfig(kind=kind, **settings), Sources(attempts, places=("runs/a",)), base)


def refused(kind, *attempts, **settings):
    """Return the line that preparing ends with."""
    with pytest.raises((TrainingError, ConfigError)) as caught:
        prepared(kind, *attempts, **settings)
    assert "\n" not in str(caught.value)
    return str(caught.value)


KINDS = ("sft", "dpo", "kto", "grpo")


def test_what_each_kind_is_given():
    sft, dpo, kto, grpo = (prepared(kind, WON, LOST) for kind in KINDS)
    assert [type(row) for row in sft.train] == [Row] and sft.train[0].trajectory_id == "won"
    assert sft.left_out == {"not solved": 1}
    [pair] = dpo.train
    assert pair.prompt_ids == (ID["red"], ID["door"])
    assert pair.chosen_ids == (ID["open"], ID["red"], ID["<end>"]) and pair.margin == 1.0
    assert sorted(one.label for one in kto.train) == [False, False, True, True]
    assert [weighed.row.trajectory_id for weighed in grpo.train] == ["won", "lost"] and grpo.groups.used == 1


def test_text_is_tokenised_once_for_every_kind_but_grpo():
    def told(one):
        steps = (
            step.model_copy(update={"token_ids": (), "prompt_token_ids": (), "logprobs": ()}) for step in one.steps
        )
        return one.model_copy(update={"steps": tuple(steps)})

    tokenizer = tiny_model.tokenizer()
    tokenizer.chat_template = "{% for m in messages %}{{ m['content'] }} {% endfor %}"
    on_text = base(tokenizer=tokenizer)
    [first, _] = prepared("sft", told(WON), base=on_text, samples={"rows": "step"}).train
    assert first.prompt_ids == (ID["red"], ID["door"]) and first.completion_ids == WON.steps[0].token_ids
    assert not first.on_record
    assert len(prepared("dpo", told(WON), told(LOST), base=on_text).train) == 1
    assert len(prepared("kto", told(WON), told(LOST), base=on_text).train) == 4
    assert refused("grpo", told(WON), told(LOST), base=on_text) == (
        "no attempt has the log-probabilities of the policy that sampled it, which reinforcement needs. "
        "Collect with a model that returns them (embedded, vLLM), or train by sft, dpo or kto."
    )
    partly = change(WON, 1, token_ids=(), prompt_token_ids=(), logprobs=())
    found = prepared("sft", partly, WON.model_copy(update={"id": "whole"}))
    assert found.left_out == {"with token ids at some answers only": 1} and len(found.train) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_without_trajectories(kind):
    assert refused(kind) == "there is no finished attempt in runs/a. `lamarck run --out DIR` collects some."


def test_a_store_without_successes():
    assert refused("sft", LOST) == (
        "none of the 1 attempts was solved, and imitation needs solved ones. "
        "Collect more, or learn from failures by grpo, dpo or kto."
    )


def test_groups_of_one():
    collect = "Collect several attempts at each task: `lamarck run --samples 4`."
    for kind in ("dpo", "kto"):
        assert refused(kind, WON, attempt("b", "key", task="b")) == (
            f"every one of the 2 groups has one attempt, and {kind} compares siblings. {collect}"
        )
    for credit in ("grpo", "dr_grpo", "rloo", "gigpo", "hae"):
        name = {"hae": "hierarchical"}.get(credit, credit)
        for pick in (True, False):
            assert refused("grpo", WON, grpo={"credit": credit, "pick_groups": pick}) == (
                f"every one of the 1 groups has one attempt, and {name} compares siblings. {collect} "
                "Or take grpo.credit = step_return, which compares nothing."
            )
    assert len(prepared("grpo", WON, grpo={"credit": "step_return"}).train) == 1


def test_equal_rewards_are_equal_whatever_their_mean_is_rounded_to():
    # In floating point the mean of three times 0.1 is above 0.1.
    three = [attempt(f"red{n}", "open red", won=0.1) for n in range(3)]
    assert judged(three) == [] and pairs([*three, attempt("blue", "open blue", won=0.1)]) == []
    other = attempt("blue", "open blue", won=0.2)
    assert len(judged([*three, other])) == 4 and len(pairs([*three, other])) == 1


def test_attempts_that_all_got_the_same():
    again = attempt("again", "open blue", task="a")
    more = "Collect more attempts, at other tasks, or at a higher model.temperature."
    assert refused("kto", WON, again) == (
        f"the attempts of each group all got the same, so none is good or bad. {more}"
    )
    assert refused("dpo", WON, again) == (
        "no two siblings with different rewards gave different answers to the same prompt. "
        "Collect more attempts at each task, or at a higher model.temperature."
    )
    assert refused("grpo", WON, again) == (
        f"the attempts of each of the 1 groups all got the same, so none is better than its siblings. {more}"
    )
    assert refused("grpo", WON, again, grpo={"credit": "dr_grpo", "pick_groups": False}) == (
        "all advantages by dr_grpo are 0: training would change nothing. "
        "Collect several attempts at each task: `lamarck run --samples 4`."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_mixed_tokenizers(kind):
    other = attempt("far", "open blue", task="a", won=0.0, version=f"{OTHER}+1234")
    assert refused(kind, WON, other) == (
        f"mixed tokenizers: trajectory won was sampled by tiny (weights {WEIGHTS}), trajectory far by tiny (weights "
        f"{OTHER}). The same token ids mean other words to each; train on them in separate runs."
    )
    # An adapter on the same weights has the same tokenizer.
    adapted = attempt("adapted", "open blue", task="a", won=0.0, version=f"{WEIGHTS}+1234")
    assert prepared(kind, WON, adapted).train


def test_mixed_tokenizers_by_name_where_weights_are_not_told():
    def named(one, *models):
        for at, model in enumerate(models):
            one = change(one, at, model=model, policy_version="fp_1")
        return one

    assert refused("sft", named(WON, "small", "small"), named(LOST, "small", "large")) == (
        "mixed tokenizers: trajectory won was sampled by small, trajectory lost by large. "
        "The same token ids mean other words to each; train on them in separate runs."
    )
    assert prepared("sft", named(WON, "openai/small", "openai/small")).train


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_another_base_model(kind):
    far = [attempt(ident, "open red", task="a", version=OTHER) for ident in ("one", "two")]
    assert refused(kind, *far) == (
        f"trajectory one was sampled by tiny (weights {OTHER}), not by the model to train, tiny (weights {WEIGHTS}). "
        "Set model to the one that sampled it: its token ids mean other words to another."
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ids_that_do_not_decode_to_the_text(kind):
    wrong = change(WON, 1, token_ids=(ID["key"], ID["door"], 1), logprobs=(-1.0,) * 3)
    assert refused(kind, wrong, LOST) == (
        "the token ids of step 1 of trajectory won read 'key door' by the tokenizer of tiny, and its text is "
        "'look left'. It was sampled with another tokenizer; set model to the one that sampled it."
    )


def test_the_first_step_and_a_sample_of_the_others_are_decoded():
    assert [spread_out(n) for n in (0, 1, 3)] == [[], [0], [0, 1, 2]]
    assert spread_out(LOOKED_AT) == list(range(LOOKED_AT))
    for count in (LOOKED_AT + 1, 1000, 12_345):
        found = spread_out(count)
        assert found[0] == 0 and LOOKED_AT // 2 <= len(found) <= LOOKED_AT + 1
        assert max(b - a for a, b in pairwise([*found, count])) <= -(-count // LOOKED_AT)
    many = [attempt(f"n{n}", "open red", task=f"{n}") for n in range(3 * LOOKED_AT)]
    for at in (0, spread_out(len(many))[40]):
        spoilt = [*many[:at], change(many[at], 0, completion="close key"), *many[at + 1 :]]
        assert f"step 0 of trajectory n{at} read" in refused("sft", *spoilt)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("token", [len(tiny_model.WORDS), -1])
def test_ids_outside_the_vocabulary(kind, token):
    wrong = change(LOST, 1, prompt_token_ids=(3, token))
    assert refused(kind, WON, wrong) == (
        f"step 1 of trajectory lost has token id {token}, and tiny knows 12. "
        "It was sampled by another model; set model to that one."
    )


MEND = "Its environment or model is at fault; name the tasks without it by samples.tasks, or export them without it."


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_numbers_that_are_none(kind, value):
    assert refused(kind, WON, change(LOST, 0, reward=value)) == (
        f"the reward of step 0 of trajectory lost is {value}. {MEND}"
    )
    assert refused(kind, WON, LOST.model_copy(update={"reward": value})) == (
        f"the reward of trajectory lost is {value}. {MEND}"
    )
    assert refused(kind, WON, change(LOST, 1, logprobs=(-1.0, value, -1.0))) == (
        f"step 1 of trajectory lost has a log-probability of {value}. {MEND}"
    )


def test_rewards_too_large_to_compare():
    huge = change(WON, 1, reward=1e300)
    assert refused("grpo", huge, LOST) == (
        "the reward of step 1 of trajectory won is 1e+300, too large to be compared. Lower its weight in grpo.rewards."
    )


def test_rows_that_are_too_long():
    # As one row the episode has 2 + 3 + 1 + 3 tokens, by step 5 and 9.
    longer = attempt("longer", "open red", "look left", "key", task="a")
    found = prepared("sft", WON, longer, samples={"max_tokens": 9})
    assert [row.trajectory_id for row in found.train] == ["won"]
    assert found.left_out == {"rows over 9 tokens": 1} and found.too_long == ("longer",)
    assert refused("sft", WON, longer, samples={"max_tokens": 8}) == (
        "all 2 rows are longer than 8 tokens; the shortest, of won, has 9. "
        "Raise samples.max_tokens (8; tiny reads 128), or take samples.rows = step."
    )
    for kind in ("dpo", "kto"):
        assert "all 1 rows" in (line := refused(kind, WON, LOST, samples={"max_tokens": 4})) or "all 4 rows" in line
        assert "of a, has 5" in line
    many = [attempt(f"n{n}", "open red", "look left", "key", task="a") for n in range(9)]
    assert prepared("sft", WON, *many, samples={"max_tokens": 9}).too_long == ("n0", "n1", "n2", "n3", "n4")


def test_the_model_reads_less_than_the_settings_allow():
    words = " ".join(["key"] * 130)
    assert refused("sft", attempt("long", words), samples={"max_tokens": 4096}) == (
        "all 1 rows are longer than 128 tokens; the shortest, of long, has 133. "
        "Raise samples.max_tokens (4096; tiny reads 128), or take samples.rows = step."
    )


def test_nothing_that_a_model_sampled():
    played = [
        one.model_copy(update={"steps": tuple(s.model_copy(update=NOTHING) for s in one.steps)}) for one in (WON, LOST)
    ]
    line = (
        "no attempt holds an answer of a model. Attempts of baselines (random, expert) have none; collect with a model."
    )
    assert refused("sft", *played) == line and refused("grpo", *played) == line


NOTHING = {"token_ids": (), "prompt_token_ids": (), "logprobs": (), "messages": (), "completion": ""}


def test_siblings_are_held_back_together():
    attempts = [
        attempt(f"{task}/{n}", "open red" if n else "key", task=f"task{task}", won=float(n))
        for task in range(40)
        for n in range(2)
    ]
    tasks = {one.id: one.task.id for one in attempts}
    for kind in ("sft", "grpo"):
        found = prepared(kind, *attempts, validate_share=0.25)
        rows = [[getattr(one, "row", one) for one in part] for part in (found.train, found.validate)]
        train, held = ({tasks[row.trajectory_id] for row in part} for part in rows)
        assert not train & held and len(train | held) == 40 and 4 <= len(held) <= 16
        assert all(held_back(TrainConfig(kind=kind, validate_share=0.25), task) for task in held)
        more = prepared(kind, *attempts, validate_share=0.5)
        assert {getattr(one, "row", one).trajectory_id for one in more.validate} >= {r.trajectory_id for r in rows[1]}
    dpo, kto = (prepared(kind, *attempts, validate_share=0.25) for kind in ("dpo", "kto"))
    assert len(dpo.train) + len(dpo.validate) == 40 and len(dpo.validate) == len(held)
    assert len(kto.train) + len(kto.validate) == 80 and len(kto.validate) == 2 * len(held)
    assert refused("sft", WON, validate_share=0.9999999) == (
        "validate_share = 0.9999999 holds back every task that there is a row of. Lower it, or collect more tasks."
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def (", "cannot import {0}: invalid syntax"),
        ("1 / 0", "cannot import {0}: division by zero"),
        ("import os\nos.nothing", "cannot import {0}: module 'os' has no attribute 'nothing'"),
        ("", "{0} has no thing."),
    ],
)
def test_a_module_of_the_users_own_that_does_not_load(tmp_path, monkeypatch, text, line):
    module = tmp_path.name
    (tmp_path / f"{module}.py").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as caught:
        guest(f"{module}:thing", "grpo.credit")
    assert str(caught.value).startswith(f"grpo.credit {module}:thing: {line.format(module)}")
    for name in (":thing", "..up:thing", "json:", "json"):
        with pytest.raises(ConfigError, match="is no module:name"):
            guest(name, "grpo.credit")


NO_BETTER = {"accepts_wrong": 0.6, "rejects_right": 0.5}


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"credit": "ppo"},
            "grpo.credit is 'ppo'; there are: grpo, dr_grpo, rloo, step_return, reinforce_pp, gigpo, gigpo_std, "
            "progress, hierarchical, attribution, reinforce++, hae. An estimator of your own is named as module:Class.",
        ),
        (
            {"credit": "gigpo", "credit_options": {"gama": 0.9}},
            "grpo.credit_options.gama is no option of gigpo; there are: weight, gamma, norm, cross_steps, eps.",
        ),
        (
            {"credit": "gigpo", "credit_options": {"norm": "max"}},
            "grpo.credit_options.norm is 'max': input should be 'mean' or 'mean_std'.",
        ),
        ({"credit_options": {"gamma": 1.5}}, "grpo.credit_options.gamma is 1.5; it is from 0 to 1."),
        ({"credit_options": {"gamma": math.nan}}, "grpo.credit_options.gamma is nan, which is no number."),
        (
            {"credit": "grpo", "credit_options": {"eps": 0}},
            "grpo.credit_options.eps is 0; it is above 0, so that nothing is divided by 0.",
        ),
        (
            {"credit": "rloo", "credit_options": {"name": "x"}},
            "grpo.credit_options.name is no option of rloo; there are: none.",
        ),
        ({"rewards": {}}, "grpo.rewards names no reward. The default is {environment = 1.0}."),
        ({"rewards": {"environment": math.nan}}, "grpo.rewards.environment is nan, which is no weight."),
        (
            {"rewards": {"luck": 1.0}},
            "grpo.rewards names 'luck'; there are: environment, outcome, invalid_actions, format, process, progress, "
            "length, verifier, verifier_backward, verifier_forward, tool_use, tool_calls, par, repair_cost. "
            "A function of your own is named as module:name.",
        ),
        ({"rewards": {"length": 1.0}}, "grpo.reward_options.length.most: missing required argument."),
        (
            {"rewards": {"outcome": 1.0}, "reward_options": {"outcome": {"lose": 1}}},
            "grpo.reward_options.outcome.lose: unexpected keyword argument.",
        ),
        (
            {"reward_options": {"outcome": {"won": 1}}},
            "grpo.reward_options.outcome is set, but grpo.rewards does not name outcome.",
        ),
        (
            {"rewards": {"verifier_backward": 1}, "reward_options": {"verifier_backward": NO_BETTER}},
            "grpo.reward_options.verifier_backward: a verifier that accepts 60% of the wrong and rejects 50% of the "
            "right answers is no better than chance. Do not train on it.",
        ),
        (
            {"rewards": {"verifier_forward": 1}, "reward_options": {"verifier_forward": {"rejects_right": 0.5}}},
            "reward verifier_forward stands for an advantage, and gigpo would take a baseline off it. "
            "Set grpo.credit = step_return, or take verifier_backward.",
        ),
        ({"reward_bounds": (1.0, -1.0)}, "grpo.reward_bounds are [1.0, -1.0]: the lower one comes first."),
        (
            {"rewards": {"verifier": 1.0}},
            "no attempt has a reward by verifier. Name another in grpo.rewards; {environment = 1.0} applies to every "
            "attempt.",
        ),
        (
            {"credit": "progress"},
            "credit progress needs the progress of each step, which none of the 2 attempts has (won is the first). "
            "An environment reports it as `score` or `progress` in the info of every step, an estimator writes one "
            "number per step into the trajectory's meta['progress']; or take grpo.credit = gigpo, which needs neither.",
        ),
        (
            {"credit": "attribution"},
            "credit attribution needs a label of each step, which none of the 2 attempts has (won is the first). "
            "A verdict with step_scores, one per step, above 0 for good and below for bad, labels them; or take "
            "grpo.credit = gigpo, which needs none.",
        ),
    ],
)  # fmt: skip
def test_settings_of_grpo(settings, line):
    assert refused("grpo", WON, LOST, grpo=settings) == line


@pytest.mark.parametrize("kind", KINDS)
def test_what_infrastructure_ended_is_no_sibling_and_no_example(kind):
    ended = LOST.model_copy(update={"id": "ended", "failure": CRASH, "reward": math.nan, "success": None})
    found = prepared(kind, WON, ended, LOST)
    assert found.left_out["ended by infrastructure"] == 1 and found.train == prepared(kind, WON, LOST).train
    if kind != "sft":
        assert refused(kind, WON, ended).startswith("every one of the 1 groups has one attempt")
    assert refused(kind, ended) == (
        "no attempt in runs/a can be trained on: 1 ended by infrastructure. "
        "`lamarck show RUN` lists the attempts; collect others."
    )


# The model and the adapter.


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Make two model folders, and an adapter on the first."""
    root = tmp_path_factory.mktemp("models")
    for seed, name in enumerate(("one", "two")):
        tiny_model.model(seed=seed, layers=1).save_pretrained(root / name)
        tiny_model.tokenizer().save_pretrained(root / name)
    first = load_base(config(), root / "one")
    save(first.model, root / "adapter", base_model="one", base_weights=first.weights, parent=None, kind="sft")
    return root


def config(**settings):
    return TrainConfig(kind="sft", adapter={"rank": 4}, **settings)


def copied(models, tmp_path, name="one"):
    folder = tmp_path / "model"
    folder.mkdir()
    for file in (models / name).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def not_loaded(folder, **settings):
    with pytest.raises(ConfigError) as caught:
        load_base(config(**settings), folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_base_with_a_new_adapter_and_one_that_goes_on(models):
    new = load_base(config(), models / "one")
    trained = [name for name, weights in new.model.named_parameters() if weights.requires_grad]
    assert trained and all("lora_" in name for name in trained)
    assert (new.name, new.weights, new.adapter) == ("one", weights_id(models / "one"), None)
    assert (new.vocabulary, new.context, new.tokenizer.pad_token) == (12, 128, "<pad>")
    state = new.model.state_dict()
    again = load_base(config(), models / "one").model.state_dict()
    assert all((state[name] == again[name]).all() for name in trained)
    other = load_base(config(seed=1), models / "one").model.state_dict()
    assert any((state[name] != other[name]).any() for name in trained)
    on = load_base(config(start=str(models / "adapter")), models / "one")
    assert on.adapter.kind == "sft" and [n for n, w in on.model.named_parameters() if w.requires_grad] == trained
    assert load_base(config(), models / "one", plain=True).model.__class__.__name__ == "LlamaForCausalLM"


def test_the_base_has_its_name_also_from_within(models, monkeypatch):
    monkeypatch.chdir(models / "one")
    assert load_base(config(), Path(), plain=True).name == "one"


def test_wrong_base_for_the_adapter(models):
    one, two = weights_id(models / "one"), weights_id(models / "two")
    assert not_loaded(models / "two", start=str(models / "adapter")).endswith(
        f" was trained on one (weights {one}), not on two (weights {two}). Use it with the model it was trained on."
    )


def test_what_is_no_model(models, tmp_path):
    (tmp_path / "empty").mkdir()
    assert not_loaded(tmp_path / "nowhere") == (
        f"there is no model folder {tmp_path / 'nowhere'}. Name `embedded`, or one with a model."
    )
    assert not_loaded(tmp_path / "empty") == (
        f"{tmp_path / 'empty'} is no model folder: it has no config.json. "
        "Name one that transformers' save_pretrained made."
    )
    assert not_loaded(models / "adapter") == (
        f"{models / 'adapter'} is an adapter, not a model. Name the model it was trained on, and this as its adapter."
    )
    assert "there is no adapter in" in not_loaded(models / "one", start=str(models / "two"))


def test_a_damaged_model(models, tmp_path):
    folder = copied(models, tmp_path)
    weights, whole = folder / "model.safetensors", load_file(folder / "model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-100])
    assert not_loaded(folder).startswith(f"cannot load model {folder}: ")
    gone = whole.pop("model.layers.0.mlp.up_proj.weight")
    save_file(whole, weights, metadata={"format": "pt"})
    assert not_loaded(folder) == (
        f"model {folder} lacks 1 of its weights, model.layers.0.mlp.up_proj.weight among them. "
        "Copy the model again, whole."
    )
    save_file({**whole, "model.layers.0.mlp.up_proj.weight": gone[:3]}, weights, metadata={"format": "pt"})
    assert str(folder) in not_loaded(folder)
    weights.unlink()
    assert not_loaded(folder).startswith(f"there are no weights in {folder}.")
    (folder / "config.json").write_text("{", encoding="utf-8")
    assert str(folder) in not_loaded(folder)


def test_a_damaged_tokenizer(models, tmp_path):
    folder = copied(models, tmp_path)
    (folder / "tokenizer.json").write_text("{", encoding="utf-8")
    assert not_loaded(folder).startswith(f"cannot load the tokenizer of {folder}: ")
    larger = tiny_model.tokenizer()
    larger.add_tokens(["window", "chair"])
    larger.save_pretrained(folder)
    assert not_loaded(folder) == (
        f"the tokenizer of {folder} has 14 tokens, and the model rows for 12. Copy the model again, whole."
    )


def test_layers_that_there_are_not(models):
    wanted = {"targets": ["attention_of_old"]}
    with pytest.raises(ConfigError) as caught:
        load_base(TrainConfig(kind="sft", adapter=wanted), models / "one")
    assert str(caught.value).startswith("adapter.targets = ('attention_of_old',): Target modules ")
    assert str(caught.value).endswith("`all-linear` fits every model.")


def test_a_damaged_adapter(models, tmp_path):
    folder = tmp_path / "adapter"
    folder.mkdir()
    for file in (models / "adapter").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    settings = json.loads((folder / "adapter_config.json").read_text())
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "r": 8}))
    assert "is damaged or was changed" in not_loaded(models / "one", start=str(folder))


def test_missing_extras():
    with pytest.raises(ConfigError) as caught:
        require(("torch", "no_such_library"))
    assert str(caught.value) == "training needs no_such_library. Run: pip install 'lamarck-agents[train]'"
