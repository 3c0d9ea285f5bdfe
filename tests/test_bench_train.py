"""`lamarck bench train`: rows that look like episodes, and figures that are about the same tokens on both sides."""

import json
from itertools import pairwise

import pytest
import tiny_model
from lamarck.cli.app import app
from lamarck.errors import ConfigError
from lamarck.training.bench_rows import SHAPES, make_rows
from lamarck.training.packing import common
from numpy import array
from typer.testing import CliRunner

pytestmark = pytest.mark.filterwarnings("ignore")


def prompts(form, seed=0):
    """Return, of each of four attempts at one task, the rows."""
    return [[row for row, _ in rows] for rows in make_rows(form, groups=1, samples=4, vocabulary=999, seed=seed)]


@pytest.mark.parametrize("form, offered, answered", [("step_rows_growing", 0, True), ("step_rows", 130, False)])
def test_step_prompts_grow_until_the_window_moves(form, offered, answered):
    attempts, first = prompts(form), SHAPES[form].first
    assert len({rows[0].prompt_ids[:first] for rows in attempts}) == 1
    moved = []
    for rows in attempts:
        assert [row.steps[0] for row in rows] == list(range(len(rows))) and all(all(row.loss_mask) for row in rows)
        for before, after in pairwise(rows):
            # What was on offer is not there any more; where nothing was, the answer follows the prompt.
            stays = len(before.prompt_ids) - offered + answered * len(before.completion_ids)
            same = common(array(before.prompt_ids + before.completion_ids), array(after.prompt_ids))
            if after.steps[0] in (20, 30):
                assert first <= same < stays
                moved.append(after.steps[0])
            else:
                assert stays <= same < stays + 5
    assert 20 in moved


def test_one_row_per_episode_and_the_same_for_the_same_seed():
    rows = prompts("episode_rows")
    assert [len(one) for one in rows] == [1] * 4 and len({one[0].prompt_ids for one in rows}) == 1
    for (row,) in rows:
        assert 0 < sum(row.loss_mask) < len(row.loss_mask) and len(row.steps) == len(row.completion_ids)
    assert prompts("episode_rows") == rows != prompts("episode_rows", seed=1)
    with pytest.raises(ConfigError, match="no rows of the form 'word'"):
        prompts("word")


def test_no_model_is_said_in_a_line(tmp_path):
    found = CliRunner().invoke(app, ["bench", "train", "--model", str(tmp_path / "gone")])
    assert isinstance(found.exception, ConfigError) and "there is no model folder" in str(found.exception)


def test_the_command(tmp_path):
    net = tiny_model.model(layers=1)
    net.save_pretrained(tmp_path)
    tiny_model.tokenizer().save_pretrained(tmp_path)
    command = ["bench", "train", "--model", str(tmp_path), "--seconds", "0", "--batches", "1", "--json"]
    found = CliRunner().invoke(app, command)
    assert found.exit_code == 0, found.output
    figures = json.loads(found.stdout)
    assert figures["bench"] == "train" and figures["parameters"] == net.num_parameters()
    for form in ("step_rows", "step_rows_growing", "episode_rows"):
        assert figures[form] == figures[f"{form}_at_once"] > 1 and figures[f"{form}_packs"] == "yes"
        packed, tokens, padded = (figures[f"{form}_tokens{kind}"] for kind in ("_packed", "", "_padded"))
        assert packed < tokens < padded and figures[f"{form}_rounds"] == 3
        assert 0 < figures[f"{form}_ratio_low"] <= figures[f"{form}_ratio"] <= figures[f"{form}_ratio_high"]
        assert figures[f"{form}_tokens_per_s"] > 0 < figures[f"{form}_trl_tokens_per_s"]
        assert 0 < figures[f"{form}_gradient_difference"] < 1e-3
    assert figures["step_rows_tokens_packed"] < 0.5 * figures["step_rows_tokens"]
