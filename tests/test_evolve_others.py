"""Other environments in a whole evolution, by names that the settings can use; and what is said before it begins."""

from types import SimpleNamespace

import pytest
from evolved import SETTINGS, evolve
from lamarck.cli.evolve import check
from lamarck.cli.evolving import starting
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.others import HELD_OUT, folder_of, named, too_few
from lamarck.cli.evolving.starting import told
from lamarck.config_evolve import EvolveConfig
from lamarck.errors import ConfigError, SandboxError
from lamarck.releases import Releases

TINY = {"size": "tiny", "games": 3, "types": ["look_at_obj_in_light"]}
TESTS = {"name": "household", "split": "test", "limit": 3, "options": TINY}
SEEN = {"name": "household", "split": "valid_seen", "limit": 2, "options": TINY}


def config(*others, **more):
    return EvolveConfig.load(None, SETTINGS | {"held_out.others": list(others)} | more)


def test_they_are_called_as_their_tasksets():
    assert list(named(config(TESTS))) == ["household"]
    assert list(named(config(TESTS, SEEN))) == ["household/test", "household/valid_seen"]
    other = {**TESTS, "options": {**TINY, "games": 4}}
    assert list(named(config(TESTS, other))) == ["household/test 1", "household/test 2"]
    assert list(named(config({"name": HELD_OUT}))) == [f"{HELD_OUT}/train"]
    names = ["a/b", "a-b", "a b", HELD_OUT, f"other-{HELD_OUT}"]
    assert len({folder_of(name) for name in names}) == len(names) and folder_of(HELD_OUT) == HELD_OUT


def test_one_that_is_named_and_not_played_is_said_first():
    with pytest.raises(ConfigError, match=r"names 'shop', which is not played; there are: household"):
        check(config(TESTS, **{"gate.environments": ["shop"]}))
    check(config(TESTS, **{"gate.environments": ["household"]}))


def test_too_few_tasks_are_said_first():
    [line] = too_few(config(TESTS))
    assert line.startswith("household has 3 tasks") and "shut for ever, since" in line
    assert "takes 49 tasks at the first test, 65 at test 2." in line
    assert too_few(config(TESTS, **{"gate.forget_margin": 0.9})) == []
    assert too_few(config(TESTS, **{"gate.waived": ["environments"]})) == []
    enough = {**TESTS, "limit": 60, "options": {**TINY, "games": 60}}
    assert "is shut some day" in too_few(config(enough, generations=9))[0]


def test_they_are_played_and_kept(tmp_path):
    settings = {
        "generations": 1, "held_out.others": [TESTS, SEEN], "held_out.limit": 2, "gate.forget_margin": 0.95,
        "gate.environments": ["household/test"],
    }  # fmt: skip
    evolve(tmp_path, **settings)
    with Releases.open(tmp_path) as releases:
        [report] = releases.log.reports()
        assert told(Home(tmp_path).load(), Home(tmp_path), releases) == []
    environments = report.check("environments")
    assert environments.figures["environments"].keys() == {"household/test", "household/valid_seen"}
    assert environments.outcome == "pass", environments.sentence
    assert list(report.looked_at) == [HELD_OUT, "household/test", "household/valid_seen"]
    # What they hold was not learned from either, and that was looked at.
    assert report.check("held-out").outcome == "pass" and report.check("held-out").figures["tasks"] == 2 + 3 + 2


def test_a_probe_that_needs_a_sandbox_is_said_first(tmp_path, monkeypatch):
    async def none(*_):
        raise SandboxError("no sandbox works here.", hint="Install one.", kind="unavailable")

    releases = SimpleNamespace(head=lambda: None)
    monkeypatch.setattr(starting, "open_pool", none)
    assert told(config(), Home(tmp_path), releases) == [], "the default asks none of these"
    for names in (["planted-tools"], []):
        [line] = told(config(probes=names), Home(tmp_path), releases)
        assert line.startswith("planted-tools cannot be asked without a sandbox, so the gate stays shut: no sandbox")
    assert told(config(probes=[], **{"gate.waived": ["probes"]}), Home(tmp_path), releases) == []
    assert told(config(probes=["made-tools"]), Home(tmp_path), releases) == [], "none are made"
    assert told(config(probes=["made-tools"], **{"run.tools.make": True}), Home(tmp_path), releases)
    assert "made-tools" in told(config(**{"run.tools.make": True}), Home(tmp_path), releases)[0], "asked by default"
    assert told(config(probes=["texts"], **{"run.tools.make": True}), Home(tmp_path), releases) == []
