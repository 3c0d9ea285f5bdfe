"""`lamarck train` through the command line."""

import json

import pytest
from shell import complaint, lamarck


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    (folder / "mine.py").write_text(
        "class Walk:\n"
        "    concurrency = 'inline'\n"
        "    goal = 'reach two'\n"
        "    def _see(self):\n"
        "        return f'You are at {self.n}.'\n"
        "    def reset(self, seed, task):\n"
        "        self.n = 0\n"
        "        return self._see(), {'admissible_actions': ['on', 'back']}\n"
        "    def step(self, action):\n"
        "        self.n = max(0, self.n + (1 if action == 'on' else -1))\n"
        "        won = self.n == 2\n"
        "        info = {'admissible_actions': ['on', 'back'], 'success': won}\n"
        "        return self._see(), float(won), won, False, info\n"
    )
    lamarck(
        "run",
        "--taskset",
        "mine:Walk",
        "--model",
        "random",
        "--samples",
        "6",
        "--max-steps",
        "4",
        "--out",
        "walks",
        "--set",
        "taskset.options.episodes=2",
        cwd=folder,
    )
    return folder


def test_inspect_shows_every_estimator(run):
    done = lamarck("train", "inspect", "walks", "--json", cwd=run)
    found = json.loads(done.stdout)
    assert len(found["episodes"]) == 6
    first = found["episodes"][0]
    assert {"grpo", "dr_grpo", "rloo", "step_return", "reinforce_pp", "gigpo", "gigpo_std", "hierarchical"} == set(
        first["advantages"]
    )
    assert set(found["missing"]) == {"progress", "attribution"}
    totals = [sum(episode["rewards"]) for episode in found["episodes"]]
    assert len(set(totals)) == 2
    mean = sum(totals) / 6
    for episode, total in zip(found["episodes"], totals, strict=True):
        assert episode["advantages"]["dr_grpo"] == pytest.approx([total - mean] * len(episode["rewards"]))
    shown = lamarck("train", "inspect", "walks", found["task"], cwd=run)
    assert "gigpo_std" in shown.stdout and "no labelled steps" in shown.stdout


def test_a_wrong_group_is_one_line(run):
    said = complaint("train", "inspect", "walks", "nowhere", cwd=run)
    assert "no group of run walks begins with 'nowhere'" in said
    assert "2 groups" in complaint("train", "inspect", "walks", "mine:Walk/", cwd=run)
