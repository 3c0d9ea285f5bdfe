"""What generations play: given tasks, tasks that were made, by whoever, and never one that is held out."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from evolved import SETTINGS
from lamarck.agent.evolution.generation import Generation
from lamarck.cli.evolve import check
from lamarck.cli.evolve import run as evolve
from lamarck.cli.evolving import proposing
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.playing import attempts
from lamarck.cli.evolving.proposing import Proposing
from lamarck.cli.evolving.verifying import Verifying
from lamarck.config_evolve import EvolveConfig
from lamarck.errors import ConfigError
from lamarck.rundir import RunDirectory

PLAIN = SETTINGS | {
    "gated": False, "learn.memory": False, "run.model.name": "random", "run.solver.max_steps": 20,
    "run.taskset.options": {"size": "tiny", "games": 6}, "propose.tasks": 6,
}  # fmt: skip


def evolved(folder, **settings):
    config = EvolveConfig.load(None, PLAIN | settings)
    check(config)
    home = Home(folder)
    return home, config, evolve(config, home, resume=False, quiet=True)


def proposed(home, number):
    return json.loads((home.generation(number) / "propose.json").read_text())


def played(home, number):
    return attempts(RunDirectory(home.generation(number) / "collect"))


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two proposers of a package: one makes its tasks, one takes given ones and says what is held out."""
    (tmp_path / "shelf_of_mine.py").write_text(
        "from lamarck.agent.proposers.proposer import Proposal\n"
        "from lamarck.evals.proposed.described import household\n"
        "def makes(materials):\n"
        "    return household(materials, size='tiny')\n"
        "class Takes:\n"
        "    name = 'takes'\n"
        "    def __init__(self, materials): self.materials = materials\n"
        "    async def propose(self, n, state):\n"
        "        kept = [f'{one.environment} {one.split} {one.id}' for one in self.materials.held_out]\n"
        "        return Proposal(tasks=self.materials.tasks[:n], state={}, figures={'kept': kept})\n"
        "    def feedback(self, outcomes, state): return state\n"
        "    async def close(self): ...\n"
    )
    info = tmp_path / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[lamarck.proposers]\nmakes = shelf_of_mine:makes\ntakes = shelf_of_mine:Takes\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


def test_given_tasks_are_played_until_there_is_something_to_relabel(tmp_path):
    home, _, records = evolved(tmp_path / "home", **{"propose.by": "relabelled", "run.collect.samples": 2})
    first, second = (one.figures["propose"] for one in records)
    assert first["given"] == first["tasks"] == 6 and first["refused"] == {"nothing_reached": 1.0}
    assert all(one.task.id.startswith("household/") for one in played(home, 1))
    # What was reached in the first generation is what the second plays.
    assert "given" not in second and second["tasks"] > 0
    sources = {one.id for one in played(home, 1)}
    assert {one.task.origin.kind for one in played(home, 2)} == {"relabelled"}
    assert {one.task.origin.by for one in played(home, 2)} <= sources


def test_the_bandit_is_told_of_progress_at_given_tasks(tmp_path):
    settings = {"propose.by": "bandit", "propose.options": {"gain": "progress"}, "generations": 3}
    settings |= {"run.taskset.options": {"size": "nano", "games": 3}, "propose.tasks": 3, "run.collect.samples": 2}
    home, _, _ = evolved(tmp_path / "home", **settings)

    def rates(number):
        found = {}
        for one in played(home, number):
            found.setdefault(one.task.category, []).append(bool(one.success))
        return {category: sum(won) / len(won) for category, won in found.items()}

    first, second = rates(1), rates(2)
    assert proposed(home, 1)["rates"] == {} and proposed(home, 2)["rates"] == pytest.approx(first)
    assert proposed(home, 3)["rates"] == pytest.approx(first | second)
    # Nothing is known after one round. After two a category moves from 1 halfway to what it has gained.
    assert proposed(home, 2)["state"]["rule"]["q"] == {}
    gained = {name: 0.5 + 0.5 * max(0.0, second[name] - first[name]) for name in first.keys() & second.keys()}
    assert max(gained.values()) > 0.5 and proposed(home, 3)["state"]["rule"]["q"] == pytest.approx(gained)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"propose.model": "embedded", "propose.reward": "progress"},
            "propose.reward is progress, and propose.students.sets is 0",
        ),
        (
            {"propose.by": "household", "propose.options": {"rule": "bandit", "rule_options": {"gain": "progress"}}},
            "rule_options.gain is progress, household makes its tasks, and",
        ),
    ],
)
def test_progress_is_refused_where_it_cannot_be_measured(settings, line):
    with pytest.raises(ConfigError, match=line):
        check(EvolveConfig.load(None, PLAIN | settings))


def test_tasks_of_a_package_are_played_whether_it_makes_or_takes_them(tmp_path, packages):
    home, _, _ = evolved(tmp_path / "makes", **{"propose.by": "makes", "generations": 1})
    assert {one.task.origin.kind for one in played(home, 1)} == {"proposed"}
    for by in ("takes", "shelf_of_mine:Takes"):
        home, config, _ = evolved(tmp_path / by.replace(":", "-"), **{"propose.by": by, "generations": 1})
        given = Proposing(home, config, Verifying(home, config)).taskset(1)
        assert given.name == "household" and list(given.ids) == proposed(home, 1)["ids"]
        assert len(played(home, 1)) == 6


def test_what_is_held_out_anywhere_is_never_proposed(tmp_path, packages):
    others = [{"name": "household", "split": "train", "limit": 2, "options": {"size": "small", "games": 4}}]
    settings = {"held_out.others": others, "propose.held_out": ["test"], "generations": 1, "propose.by": "takes"}
    home, _, _ = evolved(tmp_path / "home", **settings)
    kept = proposed(home, 1)["figures"]["kept"]
    # The gate looks at three games of valid_unseen, and at two of another environment.
    assert [sum(f"household {split} " in one for one in kept) for split in ("valid_unseen", "test", "train")] == [
        3,
        6,
        2,
    ]
    assert sum("/small/" in one for one in kept) == 2 and len(kept) == 11


@pytest.mark.parametrize("blind", [False, True])
@pytest.mark.parametrize(("by", "loaded"), [("household", 0), ("uniform", 1), ("relabelled", 1)])
def test_given_tasks_are_loaded_once_and_only_by_who_needs_them(tmp_path, monkeypatch, by, loaded, blind):
    calls, select = [], proposing.select
    monkeypatch.setattr(proposing, "select", lambda *about: calls.append(about) or select(*about))
    config = EvolveConfig.load(None, PLAIN | {"propose.by": by, "run.verify.withhold": blind})
    played = SimpleNamespace(counting=lambda number: ([], {}))
    phase = Proposing(Home(tmp_path), config, played)
    for number in (1, 2, 3):
        asyncio.run(phase.propose(Generation(number=number, parent="a", head="a")))
        assert (phase.taskset(number).name == "household") is bool(loaded)
    assert len(calls) == loaded
