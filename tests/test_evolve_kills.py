"""Evolutions of weights that die while they train, make a release and promote it: they end as if nothing had been."""

import json
import random

import pytest
import tiny_worlds
from evolved import in_process, never_half, trajectories
from lamarck.cli.evolving.home import Home
from lamarck.releases import Releases
from lamarck.weights import read_manifest

SETTINGS = {
    "generations": 1,
    "probes": ["reach"],
    "propose.tasks": 16,
    "held_out.limit": 16,
    "held_out.chunk": 16,
    "gate.alpha": 0.4,
    "learn.least": 2,
    "run.taskset.name": "tiny_worlds_signs:Ways",
    "train.optimizer.learning_rate": 0.03,
    "train.optimizer.epochs": 4.0,
    "train.optimizer.batch": 4,
    "train.optimizer.accumulate": 1,
    "train.save_steps": 1,
}


class Evolutions:
    """Evolutions of the same settings, each in a folder of its own."""

    def __init__(self, folder):
        self.folder, self.settings = folder, tiny_worlds.world(folder) | SETTINGS

    def go(self, name, at=0, **more):
        return in_process(self.folder / name, at, cwd=self.folder, **self.settings, **more)

    def told(self, name):
        """Return what an evolution came to, without times and ids of runs. Weights are compared bit by bit: an adapter
        is named by what is in its file."""
        home = Home(self.folder / name)
        records = [one.model_dump(mode="json", exclude={"seconds"}) for one in home.kept()]
        assert all(one["ended"] for one in records)
        with Releases.open(home.path) as releases:
            rows = [(row.release_id, row.action, row.report_id) for row in releases.log.rows()]
            known = {node.release.id: node.release.adapter for node in releases.tree()}
            assert not [ident for ident in known if releases.verify(ident) is not None]
        trained = read_manifest(home.generation(1) / "train" / "best").id
        losses = json.loads((home.generation(1) / "train" / "summary.json").read_text())["loss"]
        played = trajectories(home.path)
        found = {"records": records, "rows": rows, "releases": known, "trained": trained, "losses": losses}
        return found | {"trajectories": played}

    def disturbed(self, name, kills):
        """Evolve, one episode at a time, killed in one way after the other, then to the end; return how often."""
        died, alone = 0, {"run.collect.concurrency": 1}
        for kill in kills:
            if self.go(name, **kill, **alone) is not None:
                return died
            died += 1
            never_half(self.folder / name)
        self.go(name, **alone)
        return died


@pytest.fixture(scope="module")
def evolutions(tmp_path_factory):
    return Evolutions(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def points(evolutions):
    """How many points an evolution passes in each phase that nothing disturbs."""
    return evolutions.go("whole")


def kills(points, seed):
    """Draw points at which to die: in training, while the release is made, while it is promoted."""
    draw = random.Random(seed)
    return [
        {"at": draw.randrange(1, points["train"] + 1), "phase": "train"},
        *({"at": draw.randrange(1, points[phase] + 1), "phase": phase} for phase in ("build", "settle")),
    ]


def test_what_is_trained_is_promoted(evolutions, points):
    found = evolutions.told("whole")
    [record] = found["records"]
    assert record["decision"] == "promote" and record["figures"]["train"]["updates"] > 8
    assert found["rows"][-1][:2] == (record["candidate"], "promote")
    assert found["releases"][record["candidate"]] == found["trained"]


def test_kills_in_training_and_in_promotion_change_nothing(evolutions, points):
    """Killed with half of the updates on disk, while the release is made, and while it is promoted."""
    _, *later = kills(points, seed=1)
    assert evolutions.go("killed", at=points["train"] // 2, phase="train") is None
    home = Home(evolutions.folder / "killed")
    assert "train" not in home.kept()[0].figures
    assert list((home.generation(1) / "train" / "checkpoints").glob("checkpoint-*"))
    assert evolutions.disturbed("killed", later) == 2
    assert evolutions.told("killed") == evolutions.told("whole")


@pytest.mark.full
@pytest.mark.parametrize("seed", range(6))
def test_many_kills_change_nothing(evolutions, points, seed):
    assert evolutions.disturbed(f"killed-{seed}", kills(points, f"full/{seed}")) == 3
    assert evolutions.told(f"killed-{seed}") == evolutions.told("whole")


@pytest.mark.full
@pytest.mark.parametrize("seed", range(6))
def test_kills_at_any_moment_change_nothing(evolutions, points, seed):
    """Not at a point of ours, but by the clock: also inside of what writes a checkpoint."""
    seconds = Home(evolutions.folder / "whole").kept()[0].seconds["train"]
    draw = random.Random(f"clock/{seed}")
    # A process that goes on may find less left than is thought; the first one, in its first half, has it all before it.
    moments = [{"phase": "train", "after_s": draw.uniform(0.0, seconds / (2 + n))} for n in range(3)]
    assert evolutions.disturbed(f"clock-{seed}", moments) >= 1
    assert evolutions.told(f"clock-{seed}") == evolutions.told("whole")
