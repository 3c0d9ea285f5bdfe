"""The losses of dpo and kto as settings: what there is, what they become in TRL, and what is refused."""

import pytest
from lamarck.cli.app import app
from lamarck.cli.train_options import preferences
from lamarck.config_training import PairLoss, PreferenceSettings, TrainConfig
from lamarck.errors import ConfigError
from lamarck.training.examples import Judged
from lamarck.training.fit import Fit, remarks
from lamarck.training.preferences import balance, judged_config, pair_config
from trl import DPOConfig, KTOConfig
from typer.testing import CliRunner

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
QUIET = {"use_cpu": True, "bf16": False, "report_to": "none"}
GOOD, BAD = Judged((1,), (2,), True), Judged((1,), (3,), False)


def config(kind, **preferences):
    return TrainConfig(kind=kind, preferences=preferences)


def test_the_settings_reach_trl(tmp_path):
    args = pair_config(config("dpo"), output_dir=str(tmp_path), **QUIET)
    assert (args.loss_type, args.loss_weights, args.beta) == (["sigmoid", "sft"], [1.0, 1.0], 0.1)
    more = config("dpo", loss={"ipo": 2.0, "robust": 0.5}, smoothing=0.1)
    args = pair_config(more, output_dir=str(tmp_path), **QUIET)
    assert (args.loss_type, args.loss_weights, args.label_smoothing) == (["ipo", "robust"], [2.0, 0.5], 0.1)
    args = judged_config(
        config("kto", kto_loss="apo_zero_unpaired", bad=2.0), [GOOD], output_dir=str(tmp_path), **QUIET
    )
    assert (args.loss_type, args.desirable_weight, args.undesirable_weight) == ("apo_zero_unpaired", 1.0, 2.0)


def test_the_losses_are_those_of_trl():
    told = DPOConfig.__dataclass_fields__["loss_type"].metadata["help"]
    assert all(f"`'{name}'`" in told for name in PairLoss.__args__) and told.count("`'") == len(PairLoss.__args__)
    kinds = PreferenceSettings.model_fields["kto_loss"].annotation.__args__
    assert list(kinds) == KTOConfig.__dataclass_fields__["loss_type"].metadata["choices"]


def test_the_rarer_kind_weighs_as_much_in_all():
    assert balance(PreferenceSettings(), [GOOD, BAD, BAD, BAD]) == (3.0, 1.0)
    assert balance(PreferenceSettings(), [GOOD] * 5 + [BAD] * 2) == (1.0, 2.5)
    assert balance(PreferenceSettings(), [GOOD, BAD]) == (1.0, 1.0)
    assert balance(PreferenceSettings(good=4.0), [GOOD, BAD, BAD]) == (4.0, 1.0)
    assert balance(PreferenceSettings(good=4.0, bad=0.5), [GOOD]) == (4.0, 0.5)


@pytest.mark.parametrize(
    ("kind", "settings", "told"),
    [
        ("dpo", {}, "loss sigmoid + sft, beta 0.1"),
        ("dpo", {"loss": {"ipo": 1, "sft": 0.5}, "smoothing": 0.1}, "loss ipo + 0.5 sft, beta 0.1, smoothing 0.1"),
        ("kto", {}, "loss kto, beta 0.1, good and bad ones weigh the same in all"),
        ("kto", {"good": 2.0}, "loss kto, beta 0.1, good ones weigh 2"),
    ],
)  # fmt: skip
def test_the_summary_says_which_loss_it_was(kind, settings, told):
    assert remarks(config(kind, **settings), Fit(2, 1), 2) == (told,)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"preferences.loss.sft": 1.0}, "sft alone prefers nothing; add sigmoid, or train by kind sft"),
        ({"preferences.loss.sigmund": 1.0}, "preferences.loss.sigmund.* input should be 'sigmoid', "),
        ({"preferences.loss.sigmoid": 0}, "preferences.loss.sigmoid in the flags is 0: input should be greater than 0"),
        ({"preferences.loss.sigmoid": float("nan")}, "preferences.loss.sigmoid"),
        ({"preferences.loss": {}}, "preferences.loss in the flags is {}"),
        ({"preferences.loss.exo_pair": 1.0}, "exo_pair needs a smoothing above 0"),
        ({"preferences.smoothing": 0.5}, "preferences.smoothing in the flags is 0.5"),
        ({"preferences.kto_loss": "bco"}, "preferences.kto_loss in the flags is 'bco'"),
        ({"preferences.good": 0}, "preferences.good in the flags is 0"),
        ({"preferences.weight": 1}, "there are: loss, smoothing, kto_loss, good, bad"),
    ],
)
def test_what_is_no_loss_is_one_line(settings, told):
    with pytest.raises(ConfigError, match=told) as caught:
        TrainConfig.load(None, {"kind": "dpo", **settings})
    assert "\n" not in caught.value.message


def test_the_flag():
    assert preferences("dpo", ["sigmoid", "sft=0.5"]) == {"preferences.loss": {"sigmoid": 1.0, "sft": 0.5}}
    assert preferences("kto", ["apo_zero_unpaired"]) == {"preferences.kto_loss": "apo_zero_unpaired"}
    assert not any(value for value in (preferences("dpo", None) | preferences("kto", None)).values())
    with pytest.raises(ConfigError, match="kto has one loss"):
        preferences("kto", ["kto", "kto"])
    with pytest.raises(ConfigError, match="--loss sft=much: 'much' is no number"):
        preferences("dpo", ["sft=much"])
    result = CliRunner().invoke(app, ["train", "dpo", "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert "--loss" in result.output and "sft=1" in result.output
