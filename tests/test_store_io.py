"""Export and import: nothing is lost on the way, and what is broken is named."""

import gzip

import pytest
from lamarck.core import Step, Task, Trajectory
from lamarck.errors import ConfigError, StoreError
from lamarck.store import Store
from lamarck.store_io import entries, export_trajectories, import_trajectories
from stored import damaged


def make(n):
    steps = tuple(Step(index=i, observation=f"ö{i}", action="go", token_ids=(1, 2)) for i in range(3))
    task = Task(id=f"t{n}", goal="gö", environment="e", category="c")
    return Trajectory(id=f"x{n}", run_id="r", task=task, steps=steps, stop="loop", success=n % 2 == 0, started_at=n)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "store.db") as store:
        for n in range(5):
            store.finish(make(n))
        yield store


@pytest.mark.parametrize("name", ["all.jsonl", "all.jsonl.gz", "all.gz.jsonl", "all.parquet"])
def test_round_trip(tmp_path, store, name):
    file = tmp_path / name
    assert export_trajectories(store, file) == 5
    with Store.open(tmp_path / "other.db") as other:
        first = import_trajectories(other, file)
        second = import_trajectories(other, file)
        assert (first.new, first.same, first.refused) == (5, 0, [])
        assert (second.new, second.same, second.refused) == (0, 5, [])
        assert list(other.trajectories()) == [make(n) for n in range(5)]
    assert sorted(path.name for path in tmp_path.iterdir() if "tmp" in path.name) == []


def test_filters_reach_the_export(tmp_path, store):
    assert export_trajectories(store, tmp_path / "won.jsonl", success=True) == 3


def test_parquet_has_columns_to_work_with(tmp_path, store):
    import pyarrow.parquet as pq

    export_trajectories(store, tmp_path / "all.parquet")
    rows = pq.read_table(tmp_path / "all.parquet").to_pylist()
    assert rows[1]["task_id"] == "t1" and rows[1]["success"] is False and rows[1]["actions"] == ["go"] * 3


def test_broken_lines_are_named_and_the_others_taken(tmp_path):
    file = tmp_path / "mixed.jsonl"
    good, other = make(0).model_dump_json(), make(0).model_copy(update={"success": False}).model_dump_json()
    newer = good.replace('"schema_version":1,"id":"x0"', '"schema_version":9,"id":"x0"')
    file.write_text("\n".join([good, "{broken", "[1]", newer, "", other, make(1).model_dump_json(), '"text"']))
    with Store.open(tmp_path / "store.db") as store:
        report = import_trajectories(store, file)
    assert (report.new, report.same) == (2, 0)
    assert [line.split("entry ")[1].split(":")[0] for line in report.refused] == ["2", "3", "4", "6", "8"]
    assert "newer Lamarck (schema 9" in report.refused[2] and "other content" in report.refused[3]


def test_rows_of_parquet_that_hold_no_text_are_named(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for column in ([None, make(0).model_dump_json()], [1, 2]):
        pq.write_table(pa.table({"trajectory": column}), tmp_path / "odd.parquet")
        with Store.open(tmp_path / "store.db") as store:
            report = import_trajectories(store, tmp_path / "odd.parquet")
        assert report.new == column.count(make(0).model_dump_json())
        assert len(report.refused) == 2 - report.new and "odd.parquet, entry 1: " in report.refused[0]


def test_files_that_are_not_there_or_of_another_kind(tmp_path, store):
    with pytest.raises(ConfigError, match="there is no file"):
        import_trajectories(store, tmp_path / "gone.jsonl")
    with pytest.raises(ConfigError, match=r"Name it \.jsonl"):
        export_trajectories(store, tmp_path / "all.csv")
    (tmp_path / "bad.parquet").write_text("no")
    with pytest.raises(ConfigError, match="no Parquet file"):
        import_trajectories(store, tmp_path / "bad.parquet")
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b'{"a": 1}\n' * 999)[:40])
    with pytest.raises(ConfigError, match="cannot read"):
        import_trajectories(store, tmp_path / "cut.jsonl.gz")
    (tmp_path / "spoilt.jsonl.gz").write_bytes(damaged())
    with pytest.raises(ConfigError, match="cannot read"):
        list(entries(tmp_path / "spoilt.jsonl.gz"))
    with pytest.raises(StoreError, match="cannot write"):
        export_trajectories(store, tmp_path / "no" / "folder" / "all.jsonl")
