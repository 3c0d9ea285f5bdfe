"""`lamarck train sft|dpo|kto|grpo` through the command line, on a tiny model and a store of its attempts."""

import json
import os
import signal

import pytest
import stages
from lamarck.cli.app import app
from lamarck.cli.train_watch import TrainWatch
from lamarck.errors import ConfigError, TrainingError
from lamarck.store import Store
from lamarck.training.adapters import Adapter
from lamarck.training.output import TrainDirectory
from lamarck.training.watching import Progress
from typer.testing import CliRunner

pytestmark = pytest.mark.filterwarnings("ignore")
FAST = ["--rank", "2", "--lr", "0.01", "--set", "save_steps=2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and a store of its attempts."""
    folder = tmp_path_factory.mktemp("fit")
    model = stages.model_folder(folder / "tiny")
    with Store.open(folder / "store.db") as store:
        for one in stages.attempts(model):
            store.finish(one)
    with stages.light():
        yield folder


def ask(place, *arguments):
    given = ["train", *map(str, arguments), "--model", str(place / "tiny")]
    return CliRunner().invoke(app, given)


def test_sft_in_one_command(place, tmp_path):
    done = ask(place, "sft", "--store", place / "store.db", "--out", tmp_path / "out", "--epochs", "4", *FAST)
    assert done.exception is None, done.output
    printed = done.stdout.splitlines()
    assert (
        printed[0].startswith("sft: 4 of 4 updates in ") and "8 rows of 8 attempts at 4 tasks, 8 solved" in printed[0]
    )
    assert "left out: 24 not solved" in printed
    assert printed[-1].startswith("Try it with: lamarck eval --taskset small --split test --model embedded:")
    assert "sft out: update 4 of 4, loss " in done.stderr and "tokens/s" in done.stderr
    assert Adapter.read(tmp_path / "out" / "best").kind == "sft"


def test_grpo_with_its_own_flags_as_json(place, tmp_path):
    done = ask(
        place, "grpo", "--store", place / "store.db", "--out", tmp_path / "out", "--max-steps", "2", "--rows", "step",
        "--credit", "grpo", "--loss", "grpo", "--beta", "0.05", "--reward", "environment=2", "--json", *FAST,
    )  # fmt: skip
    assert done.exception is None, done.output
    found = json.loads(done.stdout)
    assert done.stderr == "" and found["steps"] == 2 and found["reward"]["first"] >= 0
    config = TrainDirectory(tmp_path / "out").load_config()
    assert (config.grpo.credit, config.grpo.loss, config.grpo.beta, config.samples.rows) == (
        "grpo",
        "grpo",
        0.05,
        "step",
    )
    assert config.grpo.rewards == {"environment": 2.0} and config.optimizer.learning_rate == 0.01


@pytest.mark.parametrize("kind", ["dpo", "kto"])
def test_preferences(place, tmp_path, kind):
    settings = ("--max-steps", "1", "--beta", "0.2", "--quiet", "--report-to", "tensorboard")
    done = ask(place, kind, "--store", place / "store.db", "--out", tmp_path / "out", *settings, *FAST)
    assert done.exception is None and done.stderr == "" and done.stdout.startswith(f"{kind}: 1 of 1 updates")
    assert TrainDirectory(tmp_path / "out").load_config().beta == 0.2


def test_ctrl_c_leaves_a_checkpoint_and_resume_goes_on(place, tmp_path):
    out = tmp_path / "out"

    def child():
        stages.when_opened("checkpoint-2/trainer_state.json", lambda: signal.raise_signal(signal.SIGINT))
        done = ask(place, "sft", "--store", place / "store.db", "--out", out, "--max-steps", "5", *FAST)
        print(done.output)
        return done.exit_code

    code, printed = stages.in_child(child)
    assert code == 130, printed
    assert "stopping after this update" in printed and f"Go on with: lamarck train sft --resume --out {out}" in printed
    assert not (out / "adapter").exists() and TrainDirectory(out).last_checkpoint().name == "checkpoint-3"
    done = ask(place, "sft", "--resume", "--out", out)
    assert done.exception is None and "going on from checkpoint-3" in done.stderr
    assert done.stdout.startswith("sft: 5 of 5 updates")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_ctrl_c_ends_it_at_once(number):
    before = signal.getsignal(number)
    with TrainWatch("x", quiet=True) as watch:
        assert not watch.stopping()
        signal.raise_signal(number)
        assert watch.stopping()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_where_there_is_no_terminal_a_line_says_how_it_goes(capsys):
    figures = {"loss": 0.51234, "reward": 0.25, "KL": 0.001, "clipped": 0.125, "learning rate": 2e-4}
    with TrainWatch("grpo x") as watch:
        watch.show(Progress(1, 9, 2.0, 1234.5, 600.0, figures))
        watch.show(Progress(2, 9, 4.0, 1234.5, 550.0, figures))
    [line] = capsys.readouterr().err.splitlines()
    assert line == (
        "grpo x: update 1 of 9, loss 0.5123, reward 0.250, KL 0.0010, clipped 12.5%, learning rate 2.0e-04, "
        "1,234 tokens/s, 10 min left"
    )


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["sft", "--store", "{}/store.db"], ConfigError, "--out is missing"),
        (["sft", "--store", "{}/store.db", "--out", "{}/o", "--resume"], ConfigError, "no training in"),
        (["sft", "--out", "{}/o"], ConfigError, "no store is named"),
        (["sft", "--store", "{}/nowhere", "--out", "{}/o"], ConfigError, "there is no run, store or file"),
        (["sft", "--store", "{}/store.db", "--out", "{}/o", "--split", "test"], TrainingError, "of split train"),
        (
            ["sft", "--store", "{}/store.db", "--out", "{}/o", "--rows", "word"],
            ConfigError,
            "samples.rows in the flags",
        ),
        (["grpo", "--store", "{}/store.db", "--out", "{}/o", "--reward", "x=y"], ConfigError, "'y' is no number"),
        (
            ["grpo", "--store", "{}/store.db", "--out", "{}/o", "--set", "replay.self_imitation=0.3"],
            ConfigError,
            "only rounds heed. Use `lamarck train live`.",
        ),
        (
            ["sft", "--store", "{}/store.db", "--out", "{}/o", "--report-to", "trackio"],
            ConfigError,
            "pip install trackio",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(place, arguments, error, message):
    done = ask(place, *(text.format(place) for text in arguments))
    assert isinstance(done.exception, error) and message in str(done.exception)
    assert "\n" not in str(done.exception) and not os.path.lexists(place / "o")
