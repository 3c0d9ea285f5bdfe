"""Where curves go: nothing on standard output, no question asked, and nothing left open for the next stage."""

import importlib
import json
import os
import sys

import pytest
import stages
import stand_ins
from lamarck.errors import ConfigError
from lamarck.training.curves import PROJECT, logged_in

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A model and its attempts; what children need is loaded once for all of them."""
    importlib.import_module("lamarck.training.offline")
    model = stages.model_folder(tmp_path_factory.mktemp("model") / "tiny")
    return model, stages.attempts(model)


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """A user without a key."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path


def noted(tmp_path, known, reporter, **environment):
    """Train two stages in a child, one of which fails after an update, and return what the reporter was told."""
    notes, packages = tmp_path / "notes", stand_ins.install(tmp_path / "packages")

    def child():
        sys.path.insert(0, str(packages))
        os.environ.update({"NOTES": str(notes), **environment})

        def burst(progress):
            raise ArithmeticError

        with stages.light():
            for name, watch in (("one", stages.Seen()), ("two", stages.Seen(on_show=burst))):
                settings = {"report_to": [reporter], "optimizer.max_steps": 2}
                try:
                    stages.fit(*known, tmp_path / name, watch=watch, **settings)
                except ArithmeticError:
                    pass
                except ConfigError as error:
                    print(error)
                    return
                sys.stderr.write("\n".join(f"said: {text}" for text in watch.said) + "\n")

    code, printed = stages.in_child(child)
    assert code == 0, printed
    told = [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []
    return told, [line for line in printed.splitlines() if "model shards" not in line and line]


def test_trackio_is_told_quietly(tmp_path, known):
    told, printed = noted(tmp_path, known, "trackio")
    assert all(line.startswith("said: ") for line in printed)
    assert f'said: curves go to trackio: `trackio show --project "{PROJECT}"`' in printed
    begun = [more for what, more in told if what == "init"]
    assert begun == [{"project": PROJECT, "name": name, "space_id": None} for name in ("one", "two")]
    assert [what for what, _ in told].count("finish") == 2 and told[-1][0] == "finish"


def test_wandb_without_a_key_writes_beside(nobody, known):
    told, printed = noted(nobody, known, "wandb")
    assert all(line.startswith("said: ") for line in printed)
    assert sum("there is no key for wandb: curves stay in" in line for line in printed) == 2
    begun = [more for what, more in told if what == "init"]
    assert begun == [
        {"project": PROJECT, "name": name, "dir": str(nobody / name / "logs"), "mode": "offline"}
        for name in ("one", "two")
    ]
    assert [what for what, _ in told if what != "log"] == ["init", "finish"] * 2
    assert [more["step"] for what, more in told if what == "log"][:2] == [1, 2]


def test_wandb_with_a_key_is_asked_for_what_it_is_set_to(nobody, known):
    told, _ = noted(nobody, known, "wandb", WANDB_API_KEY="0" * 40, WANDB_PROJECT="mine")
    assert told[0] == ["init", {"project": "mine", "name": "one", "dir": str(nobody / "one" / "logs"), "mode": None}]


def test_wandb_that_cannot_begin_is_one_line(nobody, known):
    _, printed = noted(nobody, known, "wandb", WANDB_MODE="online")
    assert len(printed) == 1 and printed[0].startswith("wandb cannot begin a run: ")
    assert "No API key configured" in printed[0] and printed[0].endswith(" WANDB_MODE=offline keeps curves here.")


def test_where_keys_are_looked_for(nobody, monkeypatch):
    assert not logged_in()
    (nobody / "netrc").write_text("machine api.wandb.ai login user password secret\n")
    assert logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example.org:8080/")
    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert logged_in()
