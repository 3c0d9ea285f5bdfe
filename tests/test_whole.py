"""Records in files: only a newline ends one."""

from lamarck.core import Task
from lamarck.evals.proposed.taskset import read_tasks, write_tasks
from lamarck.whole import read_records


def test_only_a_newline_ends_a_record(tmp_path):
    odd = "one\u2028two\u2029three\x85four\x1cfive"
    file = tmp_path / "tasks.jsonl"
    write_tasks(file, [Task(id=name, goal=goal, environment="e") for name, goal in (("a", odd), ("b", "plain"))])
    assert [task.goal for task in read_tasks(file)] == [odd, "plain"]


def test_lines_are_counted_as_editors_count_them(tmp_path):
    file = tmp_path / "lines"
    for text, lines in {b"": [], b"a": ["a"], b"a\n": ["a"], b"a\r\n\nb\n": ["a\r", "", "b"]}.items():
        file.write_bytes(text)
        assert read_records(file) == lines
