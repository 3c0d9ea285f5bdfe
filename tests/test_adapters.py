"""Adapters as folders: known by content, whole or not at all; and as part of a release."""

import errno
import json
import os
import shutil
import signal
import sys

import pytest
import tiny_folder
import torch
from inside import complaint, lamarck
from lamarck.errors import ConfigError, TrainingError
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from lamarck.training.adapters import Adapter, check_base, save, tidy, weights_id
from lamarck.weights import check_model, read_manifest
from shell import TINY
from stages import in_child

PARTS = ["adapter_config.json", "adapter_model.safetensors", "lamarck.json"]


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    return tiny_folder.base(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def made(base):
    tiny_folder.adapter(base, base.parent / "adapter")
    return base.parent / "adapter"


def copied(made, folder):
    return shutil.copytree(made, folder)


def edit(file, **fields):
    """Change fields of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def test_written_and_read(base, tmp_path):
    first = tiny_folder.adapter(base, tmp_path / "a" / "best")
    assert sorted(file.name for file in (tmp_path / "a" / "best").iterdir()) == PARTS
    assert Adapter.read(tmp_path / "a" / "best") == first
    assert (first.base_model, first.kind, first.parent) == ("tiny", "sft", None)
    assert first.base_weights == weights_id(base) and len(first.base_weights) == 12 and len(first.id) == 32
    assert first.policy_version == f"{first.base_weights}+{first.id[:12]}"
    # The same weights are the same adapter, wherever they lie and whatever came before; others are another.
    again = tiny_folder.adapter(base, tmp_path / "b", parent="f" * 32)
    assert again.id == first.id and again.parent == "f" * 32
    ids = {tiny_folder.adapter(base, tmp_path / "c", **shape).id for shape in ({"seed": 1}, {"alpha": 16}, {"rank": 2})}
    assert len(ids | {first.id}) == 4
    assert [place.name for place in tmp_path.iterdir() if place.name.startswith(".")] == []


def test_the_id_is_of_what_is_computed(made, tmp_path):
    folder = copied(made, tmp_path / "a")
    edit(folder / "adapter_config.json", base_model_name_or_path="/elsewhere", peft_version="9", lora_dropout=0.5)
    targets = json.loads((folder / "adapter_config.json").read_text())["target_modules"]
    edit(folder / "adapter_config.json", target_modules=targets[::-1], use_dora=None)
    assert Adapter.read(folder).id == Adapter.read(made).id
    edit(folder / "adapter_config.json", lora_alpha=9)
    with pytest.raises(ConfigError, match="is damaged or was changed: its files are"):
        Adapter.read(folder)


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (shutil.rmtree, "there is no adapter in .*: the folder is not there. Name a folder that `lamarck train` made"),
        (lambda f: (f / PARTS[0]).unlink(), "there is no adapter in .*: it has no adapter_config.json"),
        (lambda f: (f / PARTS[1]).unlink(), "there is no adapter in .*: it has no adapter_model.safetensors"),
        (lambda f: (f / PARTS[2]).unlink(), "has no lamarck.json, which says what weights it was trained on"),
        (lambda f: (f / PARTS[0]).write_text("{"), "is damaged: adapter_config.json cannot be read"),
        (lambda f: edit(f / PARTS[0], peft_type="IA3"), "is no LoRA but IA3"),
        (lambda f: (f / PARTS[0]).write_text("[]"), "is no LoRA but None"),
        (lambda f: (f / PARTS[1]).write_bytes((f / PARTS[1]).read_bytes()[:-1]), "is damaged or was changed"),
        (lambda f: (f / PARTS[2]).write_text("{}"), "is no adapter's manifest: id: field required"),
    ],
)
def test_what_is_no_adapter_is_said_in_a_line(made, tmp_path, break_it, said):
    folder = copied(made, tmp_path / "a")
    break_it(folder)
    with pytest.raises(ConfigError, match=said) as caught:
        Adapter.read(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_the_base_is_named_where_it_is_another(made, base, tmp_path):
    other = tiny_folder.base(tmp_path / "other", seed=1)
    check_base(Adapter.read(made), "tiny", weights_id(base))
    said = rf"was trained on tiny \(weights {weights_id(base)}\), not on other \(weights {weights_id(other)}\)"
    with pytest.raises(ConfigError, match=said):
        check_base(read_manifest(made), "other", weights_id(other))


def test_a_save_that_fails_leaves_what_was_there(base, tmp_path):
    folder = tmp_path / "best"
    before = tiny_folder.adapter(base, folder)
    known = {"base_model": "tiny", "base_weights": before.base_weights, "parent": None, "kind": "sft"}

    class Full:
        """A model whose disk is full half-way."""

        def save_pretrained(self, place, **keywords):
            shutil.copytree(folder, place, ignore=shutil.ignore_patterns("*.json"))
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(TrainingError, match=r"cannot write adapter .*No space left.*Is the disk full\?"):
        save(Full(), folder, **known)
    wild = tiny_folder.lora(base)
    with torch.no_grad():
        next(value for name, value in wild.named_parameters() if "lora_B" in name)[0, 0] = torch.nan
    with pytest.raises(TrainingError, match=r"is not written: .*lora_B.* not finite. Start a new stage"):
        save(wild, folder, **known)
    assert Adapter.read(folder) == before and [place.name for place in tmp_path.iterdir()] == ["best"]
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("years of work")
    # A model of the package index has a manifest of the same name.
    shutil.copytree(base, tmp_path / "pulled")
    (tmp_path / "pulled" / "lamarck.json").write_text("{}")
    for place in ("thesis", "thesis/chapter.txt", "pulled"):
        with pytest.raises(TrainingError, match=f"{place} is or holds something that is no adapter"):
            save(tiny_folder.lora(base), tmp_path / place, **known)
    assert (tmp_path / "pulled" / "model.safetensors").exists()


def test_what_is_no_model(made, base, tmp_path):
    check_model(base)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ConfigError, match="there are no weights in"):
        weights_id(tmp_path / "bare")
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    for folder, said in (
        (tmp_path / "gone", "there is no model folder"),
        (made, "is an adapter, not a model. Name the model it was trained on, and this as its adapter"),
        (tmp_path / "bare", "has no config.json"),
        (tmp_path / "half", "there are no weights in"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_model(folder)


@pytest.fixture(scope="module")
def run(base, made, tmp_path_factory):
    """A run of two steps, played with a copy of the adapter that tests may move; and one without."""
    folder = tmp_path_factory.mktemp("run")
    copied(made, folder / "adapter")
    play(folder / "run", base, folder / "adapter")
    play(folder / "bare", base)
    return folder


def play(out, base, adapter=None, say=lamarck):
    model = ["--model", f"embedded:{base}", *(["--adapter", adapter] if adapter is not None else [])]
    return say("run", *TINY, *model, "--limit", "1", "--max-steps", "2", "--out", out, "-q")


def test_the_adapter_is_in_the_release_and_in_every_step(run, base, made):
    adapter = Adapter.read(made)
    [one] = attempts(run / "run")
    assert {step.policy_version for step in one.steps} == {adapter.policy_version}
    assert {step.model for step in one.steps} == {"tiny"}
    release = json.loads((run / "run" / "evaluation.json").read_text())["release"]
    assert release["adapter"] == adapter.id and release["settings"]["base_weights"] == adapter.base_weights
    assert json.loads(lamarck("eval", run / "run", "--json").stdout)["adapter"] == adapter.id
    assert adapter.policy_version in lamarck("show", run / "run", one.id).stdout
    [plain] = attempts(run / "bare")
    assert {step.policy_version for step in plain.steps} == {adapter.base_weights}
    unlike = json.loads(lamarck("compare", run / "bare", run / "run", "--json").stdout)["differences"]["run"]
    assert f"release, adapter: None -> '{adapter.id}'" in unlike


def attempts(path):
    directory = RunDirectory(path)
    with Store.open(directory.store_path, create=False) as store:
        return [store.trajectory(header.id) for header in store.headers(run_id=directory.run_id)]


def test_sampled_and_computed_agree(run, base, made):
    found = json.loads(lamarck("train", "agree", "--store", run / "run", "--json").stdout)
    assert found["agrees"] and found["rows"] == 2 and found["tokens"] >= 2 and found["most"] < 1e-3
    assert found["policy"] == Adapter.read(made).policy_version
    assert "differ by" in lamarck("train", "agree", "--store", run / "run").stdout
    said = str(lamarck("train", "agree", "--store", run / "bare", "--adapter", made, code=1).exception)
    assert "none of 2 stored answers with token ids was sampled by policy" in said and "+" in said


def test_a_run_goes_on_only_with_its_adapter(run, base, made, tmp_path):
    resume = ["run", "--resume", "-q", "--out", run / "run"]
    lamarck(*resume)
    aside = shutil.move(run / "adapter", tmp_path / "aside")
    try:
        tiny_folder.adapter(base, run / "adapter", seed=5)
        wanted, found = Adapter.read(made).id[:12], Adapter.read(run / "adapter").id[:12]
        said = complaint(*resume)
        assert f"it was begun with adapter {wanted}, and model.adapter is {found} now" in said
        said = complaint("eval", "--again", run / "run", "--out", tmp_path / "other")
        assert f"was made with adapter {wanted}, and {run / 'adapter'} holds {found}. Name the folder" in said
        shutil.rmtree(run / "adapter")
        said = complaint("eval", "--again", run / "run", "--out", tmp_path / "other")
        assert f"was made with adapter {wanted}: there is no adapter in" in said and "--adapter DIR" in said
        done = lamarck("eval", "--again", run / "run", "--adapter", aside, "--out", tmp_path / "other", "--json")
        assert json.loads(done.stdout)["again"]["same"]
    finally:
        shutil.move(aside, run / "adapter")
    assert "was made without an adapter" in complaint(
        "eval", "--again", run / "bare", "--adapter", made, "--out", tmp_path / "x"
    )


def test_wrong_adapters_stop_a_run_before_its_first_episode(base, made, tmp_path):
    other = tiny_folder.base(tmp_path / "other", seed=1)
    assert "was trained on tiny" in play(tmp_path / "r1", other, made, say=complaint)
    assert "there is no adapter in" in play(tmp_path / "r2", base, tmp_path / "gone", say=complaint)
    said = complaint("run", *TINY, "--model", "random", "--adapter", made, "--out", tmp_path / "r3")
    assert f"model random cannot be given adapter {made}: only a model that runs here can" in said
    assert "there is no model folder" in complaint("run", *TINY, "-m", "embedded:gone", "--out", tmp_path / "r4")


def test_a_kill_between_the_two_renames_loses_neither(made, base, tmp_path):
    folder, new = tmp_path / "best", tiny_folder.adapter(base, tmp_path / "other", seed=3)

    def cut_off():
        """What is there between the renames: the old one aside, the new one whole, and nothing in place."""
        shutil.rmtree(folder, ignore_errors=True)
        copied(made, tmp_path / ".best-abcd" / "old")
        copied(new.folder, tmp_path / ".best-abcd" / "new")

    cut_off()
    assert Adapter.read(folder).id == new.id and not (tmp_path / ".best-abcd").exists()
    cut_off()
    assert tiny_folder.adapter(base, folder, seed=4).id == Adapter.read(folder).id != new.id
    assert not (tmp_path / ".best-abcd").exists()
    cut_off()
    copied(made, tmp_path / ".best-efgh" / "new")  # one that was killed before the first rename
    tidy(folder)
    assert Adapter.read(folder).id == new.id and sorted(p.name for p in tmp_path.iterdir()) == ["best", "other"]
    shutil.rmtree(folder)
    copied(made, tmp_path / ".best-abcd" / "new")
    with pytest.raises(ConfigError, match="the folder is not there"):
        Adapter.read(folder)


def test_what_finds_no_place_is_left_beside(made, tmp_path):
    """The folder was a link, and what it pointed to is gone: a folder cannot be renamed to its name."""
    folder = tmp_path / "best"
    folder.symlink_to(tmp_path / "gone")
    for name in ("old", "new"):
        copied(made, tmp_path / ".best-abcd" / name)
    tidy(folder)
    assert sorted(place.name for place in (tmp_path / ".best-abcd").iterdir()) == ["new", "old"]
    folder.unlink()
    tidy(folder)
    assert Adapter.read(folder).id == Adapter.read(made).id and not (tmp_path / ".best-abcd").exists()


def test_killed_between_the_two_renames(made, base, tmp_path):
    folder, before = copied(made, tmp_path / "best"), Adapter.read(made)

    def child():
        model = tiny_folder.lora(base, 5)

        def look(event, arguments):
            if event == "os.rename" and str(arguments[1]) == str(folder):
                os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(look)
        save(model, folder, base_model="tiny", base_weights=before.base_weights, parent=None, kind="sft")

    code, printed = in_child(child)
    assert code == -signal.SIGKILL, printed
    assert not folder.exists()
    assert Adapter.read(folder).id != before.id
