"""`lamarck release`, and runs of exactly one release, as a stranger meets them; in one process, since it is quicker."""

import json
import re
import shutil
import sys
from dataclasses import replace

import pytest
from lamarck.agent.llms import build_llm
from lamarck.agent.prompting import Prompts
from lamarck.cli import app
from lamarck.cli.release_play import find, mismatch
from lamarck.cli.wire_release import draft_of
from lamarck.config import RunConfig
from lamarck.core import Release
from lamarck.evals.figures.evaluation import Evaluation
from lamarck.releases import Releases
from lamarck.store import Store
from released import adapter, draft, opened, remember, report

TINY = ["--taskset", "household", "-s", "taskset.options.size=tiny", "-q"]
STEPS = 6


@pytest.fixture
def said(capsys, monkeypatch):
    """Run a command and return what it printed; a wrong one gives its one line."""

    def run(*arguments, code=0):
        monkeypatch.setattr(sys, "argv", ["lamarck", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            app.run()
        printed = capsys.readouterr()
        assert (ended.value.code or 0) == code, (ended.value.code, printed)
        if code == 2:
            lines = [line for line in printed.err.splitlines() if line.strip()]
            assert len(lines) == 1 and lines[0].startswith("error: "), printed.err
            return lines[0]
        return printed.out

    return run


def goals(limit):
    from lamarck.agent.tasksets import load_taskset

    return [task.goal for task in load_taskset("household", {"size": "tiny"}).tasks("train", limit=limit)]


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory):
    """A home with release A, which remembers, at the head, and B, which remembers more of greater value."""
    place = tmp_path_factory.mktemp("kitchen")
    known = goals(3)
    remember(place / "m", {known[0]: 0.5, "open a window": 0.1})
    config = RunConfig.load(None, {"model.name": "follower", "solver.max_steps": STEPS, "memory.recall.threshold": 0.3})
    with opened(place / "home") as releases:
        player, prompts = build_llm(config.model), Prompts()
        first = releases.put(draft_of(config, player, prompts, memory=place / "m"))
        releases.begin(first.id)
        remember(place / "m", {known[0]: -0.5, known[1]: 0.9, known[2]: 0.7})
        second = releases.put(releases.child("head", memory=place / "m"))
        releases.put_report(report(second, first))
    return place, first, second


@pytest.fixture
def home(kitchen, tmp_path):
    place, first, second = kitchen
    return shutil.copytree(place / "home", tmp_path / "home"), first, second


def played(out):
    """Everything that a run did, but when."""
    with Store.open(out / "store.db") as store:
        return {
            one.task.id: (
                one.release_id,
                one.reward,
                [(s.action, s.messages, s.completion, s.recalled, s.recalled_text, s.reward) for s in one.steps],
            )
            for one in store.trajectories()
        }


def test_a_roll_back_brings_back_the_very_same_steps(home, tmp_path, said):
    place, first, second = home
    play = ["run", *TINY, "--release", place, "--limit", 2, "--seed", 7]
    said(*play, "-o", tmp_path / "a")
    said("release", "promote", place, second.id[:8])
    said(*play, "-o", tmp_path / "b")
    assert "by rollback (promotion 3)" in said("release", "rollback", place, "--reason", "worse")
    said(*play, "-o", tmp_path / "c")
    a, b, c = (played(tmp_path / name) for name in "abc")
    assert len(a) == 2 and a == c
    assert {one[0] for one in a.values()} == {first.id} and {one[0] for one in b.values()} == {second.id}
    recalled = [{ident for one in found.values() for step in one[2] for ident in step[3]} for found in (a, b)]
    assert recalled[0] and recalled[0] < recalled[1], "B remembers what A does not"
    assert {i: one[2] for i, one in a.items()} != {i: one[2] for i, one in b.items()}
    with Releases.open(place) as releases:
        assert releases.verify(first.id) is None and releases.verify(second.id) is None, "playing changes nothing"
    evaluation = Evaluation.read(tmp_path / "a")
    assert evaluation.release.id == first.id and evaluation.id == Evaluation.read(tmp_path / "c").id
    assert evaluation.places["release"] == f"{place}@{first.id}" and "release" not in evaluation.settings
    # A run stays with its release when it goes on, whatever the head is by then.
    said("release", "promote", place, second.id, "--force", "again")
    said("run", "--resume", "-o", tmp_path / "a", "-q")
    line = said("run", "--resume", "-o", tmp_path / "a", "--release", place, code=2)
    assert f"its release was '{place}@{first.id}' and is '{place}@{second.id}' now" in line
    shutil.rmtree(place / "releases" / first.id[:12] / "prompts")
    assert "is damaged: prompts/" in said("run", "--resume", "-o", tmp_path / "a", "-q", code=2)


def test_eval_of_a_release(home, tmp_path, said):
    place, first, _ = home
    found = said("eval", *TINY, "--release", f"{place}@{first.id[:7]}", "--limit", 1, "-o", tmp_path / "e", "--json")
    assert json.loads(found)["all"]["episodes"] == 1
    assert Evaluation.read(tmp_path / "e").release.id == first.id
    said("eval", "--again", tmp_path / "e", "-o", tmp_path / "again", "-q")
    assert played(tmp_path / "again") == played(tmp_path / "e")


REFUSED = {
    "model.name is 'follower' in .*, not 'random'": ["-m", "random"],
    "solver.max_steps is 6 in": ["--max-steps", 7],
    "solver.history is 10 in": ["-s", "solver.history=5"],
    "solver.protocol": ["--protocol", "text"],
    "memory.mode is 'read'": ["--memory", "elsewhere"],
    "memory.path is": ["--memory", "elsewhere", "--memory-mode", "read"],
    "memory.mode is 'read' in .*, not 'learn'": ["--memory-mode", "learn"],
    "memory.recall.select": ["-s", "memory.recall.select=1"],
    "model.adapter is None": ["--adapter", "some"],
    "solver.prompts": ["-s", "solver.prompts=mine"],
    "model.temperature": ["-s", "model.temperature=1.0"],
    "repair.by": ["-s", "repair.by=reflexion"],
    "not as baseline react": ["--baseline", "react"],
}


@pytest.mark.parametrize("line", REFUSED)
def test_what_would_make_it_another_release_is_refused(kitchen, tmp_path, said, line):
    place = kitchen[0]
    found = said("run", *TINY, "--release", place / "home", *REFUSED[line], "-o", tmp_path / "r", code=2)
    assert re.search(line, found) and "play without --release" in found
    assert not (tmp_path / "r").exists()


def test_releases_that_cannot_be_played_are_named(home, tmp_path, said):
    place, first, second = home
    out = ["-o", tmp_path / "r"]
    assert "there are no releases in" in said("run", *TINY, "--release", tmp_path / "none", *out, code=2)
    assert "no one release 'feed'" in said("run", *TINY, "--release", f"{place}@feed", *out, code=2)
    (place / "releases" / first.id[:12] / "prompts" / "first.md").write_text("Lie.")
    found = said("run", *TINY, "--release", place, *out, code=2)
    assert f"release {first.id[:12]} in {place} is damaged: prompts/first.md was changed" in found
    found = said("eval", *TINY, "--release", f"{place}@{first.id}", *out, code=2)
    assert "is damaged" in found and not (tmp_path / "r").exists()
    assert said("release", "verify", place, code=1).splitlines()[-1] == "1 of 2 releases are whole"
    assert json.loads(said("release", "verify", place, second.id, "--json")) == {second.id: None}
    # With a line of its own for parts that are whole, but are not this release's.
    with opened(tmp_path / "odd") as releases:
        odd = releases.put(replace(draft(), settings={"history": 99}))
    found = said("run", *TINY, "--release", f"{tmp_path}/odd@{odd.id}", *out, code=2)
    assert f"this run is not release {odd.id[:12]}: history is 99 in it, and 10 here" in found


def test_parts_that_do_not_add_up_by_hand():
    fields = {"base_model": "m", "prompts": {"a": "1"}, "settings": {"history": 5, "player": "p", "tools": {"x": 1}}}
    one = Release.of(**fields)

    def other(**changed):
        return mismatch(one, Release.of(**{**fields, **changed}))

    assert other() is None and other(parent="p") is None
    assert other(settings={"history": 5, "tools": {"x": 1, "later": 2}, "new": 3}) is None, "added since, at default"
    assert other(prompts={"a": "1", "later": "2"}) is None
    assert other(prompts={"a": "2"}) == "prompt a is another one"
    assert other(settings={"history": 6, "tools": {"x": 1}}) == "history is 5 in it, and 6 here"
    assert other(settings={"history": 5, "tools": {}}) == "tools.x is 1 in it, and None here"
    assert other(base_model="n") == "it plays with model m, and this is n"
    assert other(adapter="b" * 32) == "its adapter is none, and this is bbbbbbbbbbbb"
    assert other(memory_snapshot="c" * 32) == "its memory is none, and this is cccccccccccc"
    assert other(tools=("python", "made")) == "its tools is none, and this is python, made"
    heavy = Release.of(**{**fields, "settings": {"base_weights": "w"}})
    assert mismatch(heavy, heavy.model_copy(update={"base_model": "moved"})) is None, "a folder of another name"
    assert "weights of its model are w, and these are None" in mismatch(heavy, one)


def test_home_and_id_in_one_word(tmp_path):
    (tmp_path / "a@b").mkdir()
    assert find(f"{tmp_path}/a@b") == (tmp_path / "a@b", "head")
    assert find(f"{tmp_path}/a@b@feed") == (tmp_path / "a@b", "feed")
    assert [str(find(text)[0]) + " " + find(text)[1] for text in ("h", "h@", "h@head~1")] == [
        "h head", "h head", "h head~1",
    ]  # fmt: skip


def test_looking_at_releases(home, tmp_path, said):
    place, first, second = home
    with Releases.open(place) as releases:
        releases.put(releases.child(second.id, adapter=adapter(tmp_path / "a")))
    tree = said("release", "ls", place)
    lines = tree.splitlines()
    assert first.id[:12] in lines[1] and "HEAD" in lines[1] and "the first" in lines[1]
    assert second.id[:12] in lines[2] and "changes memory" in lines[2] and "gate: promote" in lines[2]
    assert "gen 2" in lines[3] and "changes adapter" in lines[3] and "not judged" in lines[3]
    found = json.loads(said("release", "ls", place, "--json"))
    assert [one["depth"] for one in found["releases"]] == [0, 1, 2] and found["releases"][0]["head"]
    assert [row["action"] for row in found["promotions"]] == ["begin"]
    shown = said("release", "show", place, second.id[:9])
    assert f"release {second.id}" in shown and "better: pass. By 3 of 10." in shown and "whole" in shown
    one = json.loads(said("release", "show", place, "--json"))
    assert one["id"] == first.id and one["whole"] and one["player"]["solver.max_steps"] == STEPS
    assert one["promotions"][0]["action"] == "begin" and one["reports"] == []
    text = said("release", "diff", place, "head", second.id, "--top", 2)
    assert "items: 2 added, 0 removed, 1 changed" in text and "+0.50 -> -0.50" in text and "new -> +0.90" in text
    assert "settings: same" in text and "adapter: same" in text
    change = json.loads(said("release", "diff", place, second.id, "head", "--json"))
    assert change["items"]["removed"] == 2 and not change["memory"]["same"] and change["adapter"]["same"]


def test_promoting_and_handing_on(home, tmp_path, said):
    place, first, second = home
    row = json.loads(said("release", "promote", place, second.id, "--json"))
    assert (row["action"], row["release_id"], row["before"]) == ("promote", second.id, first.id)
    assert "gate report" in said("release", "show", place)
    assert "head~2: there were 2 heads" in said("release", "show", place, "head~2", code=2)
    file = tmp_path / "b.tar.gz"
    assert f"release {second.id[:12]} written to" in said("release", "export", place, "head", file)
    assert "is taken in" in said("release", "import", tmp_path / "there", file)
    assert json.loads(said("release", "import", tmp_path / "there", file, "--json"))["new"] is False
    assert "grown from" in said("release", "ls", tmp_path / "there")
    assert "has no gate report" in said("release", "promote", tmp_path / "there", second.id, code=2)
    assert "by force" in said("release", "promote", tmp_path / "there", second.id, "--force", "it is mine")
    assert "it is mine" in said("release", "show", tmp_path / "there")
    assert "there is no file" in said("release", "import", tmp_path / "new", tmp_path / "none.tar.gz", code=2)
    assert not (tmp_path / "new").exists()
    assert "rolled" not in said("release", "rollback", place, first.id)
    assert "there were 1 heads" in said("release", "rollback", place, code=2)
