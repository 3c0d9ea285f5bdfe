"""One tree, reached alike from TOML, flags and code."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lamarck.config import RunConfig
from lamarck.config_evolve import EvolveConfig
from lamarck.config_tree import parse_assignment, place
from lamarck.errors import ConfigError

TEXT = st.text(max_size=20)
VALUE = st.one_of(TEXT, st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))


def test_file_flags_and_code_reach_the_same_fields(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text("[solver]\nmax_steps = 7\n[taskset]\nname = 'alfworld'\n")
    from_file = RunConfig.load(file)
    from_flags = RunConfig.load(None, {"solver.max_steps": 7, "taskset.name": "alfworld"})
    from_code = RunConfig.model_validate({"solver": {"max_steps": 7}, "taskset": {"name": "alfworld"}})
    assert from_file == from_flags == from_code
    assert RunConfig.load(file, {"solver.max_steps": 9}).solver.max_steps == 9


@given(st.dictionaries(TEXT.filter(bool), VALUE, max_size=4))
def test_saved_configuration_reads_back_unchanged(options):
    config = RunConfig.load(None, {"taskset.ids": ["a", 'b"\n'], "model.temperature": 0.7})
    tree = config.model_dump()
    tree["taskset"]["options"] = options
    config = RunConfig.model_validate(tree)
    assert RunConfig.model_validate(tomllib.loads(config.dump_toml())) == config


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"solver.stepz": 1}, ["unknown key solver.stepz", "max_steps"]),
        ({"nonsense": 1}, ["unknown key nonsense", "taskset, model, solver"]),
        ({"solver.max_steps": "many"}, ["solver.max_steps", "'many'"]),
        ({"solver.max_steps": 0}, ["solver.max_steps", "greater than 0"]),
        ({"solver.protocol": "mime"}, ["solver.protocol", "'choice'"]),
    ],
)
def test_wrong_keys_and_values_are_named_in_one_line(overrides, words):
    with pytest.raises(ConfigError) as caught:
        RunConfig.load(None, overrides)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_missing_and_broken_files_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot read config .*gone\.toml"):
        RunConfig.load(tmp_path / "gone.toml")
    (tmp_path / "bad.toml").write_text("= 3")
    with pytest.raises(ConfigError, match="not valid TOML"):
        RunConfig.load(tmp_path / "bad.toml")


def test_assignments_are_toml_where_they_parse():
    assert parse_assignment("a.b=3") == ("a.b", 3)
    assert parse_assignment("a=[1, 2]") == ("a", [1, 2])
    assert parse_assignment("a=hello world") == ("a", "hello world")
    with pytest.raises(ConfigError, match="key=value"):
        parse_assignment("lonely")
    with pytest.raises(ConfigError, match="is a value"):
        place({"a": 1}, "a.b", 2)


def test_what_is_none_in_a_list_of_tables_is_left_out_of_the_file():
    others = [{"name": "household", "split": "test"}]
    config = EvolveConfig.load(None, {"held_out.others": others})
    assert config.held_out.others[0].limit is None
    assert EvolveConfig.model_validate(tomllib.loads(config.dump_toml())) == config
