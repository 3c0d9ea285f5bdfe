"""`lamarck sandbox` and `lamarck tools` as a person uses them, and a run whose agent makes a tool."""

import json
import sys

import pytest
from shell import complaint, lamarck

DOUBLE = '''def add_bags(start: int, given: int, bags: int, each: int) -> int:
    """Count what is left after giving some away and buying bags."""
    return start - given + bags * each
'''
SUMS = ["--taskset", "questions", "--model", "scripted:answers.jsonl", "--protocol", "tools", "-j", "1"]
PROPOSAL = {
    "name": "add_bags",
    "description": "Count what is left after giving some away and buying bags.",
    "code": DOUBLE,
    "tests": [
        {"arguments": {"start": 10, "given": 3, "bags": 2, "each": 4}, "expected": 15},
        {"arguments": {"start": 5, "given": 5, "bags": 1, "each": 1}, "expected": 1},
    ],
}


def reply(*calls):
    return json.dumps(
        {"text": "", "tool_calls": [{"id": f"c{n}", "name": k, "arguments": a} for n, (k, a) in enumerate(calls)]}
    )


def test_code_runs_and_its_end_is_the_exit_code(tmp_path):
    done = lamarck("sandbox", "run", "print('hi'); 6 * 7", "--json")
    result = json.loads(done.stdout)
    assert (done.returncode, result["stdout"], result["value"], result["guarantee"]) == (0, "hi\n", "42", "isolated")
    failed = lamarck("sandbox", "run", "1 / 0", code=1)
    assert "ZeroDivisionError" in failed.stderr and "Traceback" in failed.stderr
    (tmp_path / "x.py").write_text("open('/etc/shadow')")
    assert "No such file" in lamarck("sandbox", "run", "--file", tmp_path / "x.py", code=1).stderr
    assert "exit code 7" in lamarck("sandbox", "exec", "--", "sh", "-c", "exit 7", code=1).stderr
    slow = lamarck("sandbox", "run", "while True: pass", "-s", "wall_s=0.3", "--json", code=1)
    assert json.loads(slow.stdout)["status"] == "timeout"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sandbox", "run", "1", "-b", "jail"], "there is no sandbox backend 'jail'"),
        (["sandbox", "run", "1", "-b", "unsafe-local"], "all your rights"),
        (["sandbox", "run", "1", "-s", "memory_mb=1"], "sandbox.memory_mb"),
        (["sandbox", "run", "1", "--file", "x"], "not both"),
        (["sandbox", "run", "--file", "nowhere.py"], "cannot read nowhere.py"),
        (["sandbox", "build", "--package", "nothing-like-it"], "pip install nothing-like-it"),
        (["sandbox", "attack", "--only", "nonsense"], "no attack with nonsense"),
        (["tools", "call", "python", "{"], "no JSON"),
        (["tools", "call", "python", "[]"], "no JSON object"),
        (["tools", "ls", "--plugin", "nothing"], "there is no tool 'nothing'"),
        (["tools", "ls", "--builtin", "search"], "Set tools.documents"),
        (["tools", "ls", "--mcp", "no-such-program"], "no-such-program"),
        (["tools", "made", "nowhere"], "there is no store in nowhere"),
        (
            ["run", "--set", 'tools.builtin=["python"]', "--model", "first", "--out", "x"],
            "protocol choice calls no tools",
        ),
        (["tools", "ls", "-s", "tools.approve=true", "-s", 'tools.builtin=["python"]'], "needs a terminal"),
        (["tools", "ls", "--builtin", "python", "-s", "sandbox.most=2"], "4 episodes at once need 4 sandboxes"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, message, tmp_path):
    code = 1 if any(word in message for word in ("backend", "rights", "install")) else 2
    assert message in complaint(*arguments, code=code, cwd=tmp_path)


def test_doctor_build_and_sweep():
    found = json.loads(lamarck("sandbox", "doctor", "--json").stdout)
    assert found["auto"] == "docker" and all(backend["available"] for backend in found["backends"])
    built = json.loads(lamarck("sandbox", "build", "--json").stdout)
    assert built["bytes"] < 150e6
    assert set(json.loads(lamarck("sandbox", "sweep", "--json").stdout)) == {"docker", "bubblewrap"}


def test_tools_are_listed_called_and_served():
    names = {spec["name"] for spec in json.loads(lamarck("tools", "ls", "--json").stdout)}
    assert {"python", "shell", "read_file", "write_file", "list_files"} <= names
    assert lamarck("tools", "call", "shell", '{"command": "echo $((6 * 7))"}').stdout == "42\n"
    wrong = lamarck("tools", "call", "python", '{"source": "1"}', code=1)
    assert "code: field required" in wrong.stdout
    served = lamarck(
        "tools",
        "call",
        "--mcp",
        f"{sys.executable} -m lamarck tools serve --builtin python",
        "python",
        '{"code": "6 * 7"}',
    )
    assert served.stdout == "42\n", served.stderr


def test_an_agent_makes_a_tool_and_the_next_run_inherits_it(tmp_path):
    """212 shells, 12 given, and so on: what the problems hold is read off the tasks first."""
    from lamarck.evals.questions import made

    def numbers(n):
        words = made("train", 0, n).goal.replace(".", " ").split()
        return dict(
            zip(("start", "given", "bags", "each"), [int(word) for word in words if word.isdigit()], strict=True)
        )

    def answers(*lines):
        (tmp_path / "answers.jsonl").write_text("\n".join(lines) + "\n")

    def run(out, *more):
        sets = ["-s", 'tools.builtin=["python", "submit"]', "-s", "tools.make=true"]
        return lamarck("run", *SUMS, "--json", *sets, "--out", out, *more, cwd=tmp_path)

    truth = made("train", 0, 0).truth
    script = [reply(("make_tool", PROPOSAL)), reply(("add_bags", numbers(0))), reply(("submit", {"answer": truth}))]
    # The replay plays the same task with the new tool at hand, in the middle of the first call.
    answers(script[0], script[1], script[2], script[1], script[2])
    done = json.loads(run("runs/one", "--limit", "1").stdout)
    assert "replays" in done
    report = json.loads(lamarck("eval", "runs/one", "--json", cwd=tmp_path).stdout)
    assert report["all"]["success_rate"] == 1.0
    assert report["made_tools"] == {"tools": 1, "calls": 1, "recent_tools": 1, "recent_calls": 1, "new_per_call": 1.0}
    made_now = json.loads(lamarck("tools", "made", "runs/one", "--json", cwd=tmp_path).stdout)
    assert [(t["name"], t["version"], t["status"]) for t in made_now["tools"]] == [("add_bags", 1, "active")]
    assert lamarck("tools", "made", "runs/one", "add_bags", cwd=tmp_path).stdout.strip() == DOUBLE.strip()
    # A person has the last word.
    assert "out of use" in lamarck("tools", "retire", "runs/one", "add_bags", cwd=tmp_path).stdout
    assert "no tool 'add_bags' is in use" in complaint("tools", "retire", "runs/one", "add_bags", cwd=tmp_path)
    assert "has no version 9" in complaint("tools", "roll-back", "runs/one", "add_bags", "9", code=1, cwd=tmp_path)
    lamarck("tools", "roll-back", "runs/one", "add_bags", "1", cwd=tmp_path)
    assert lamarck("tools", "merge", "runs/one", cwd=tmp_path).stdout == "nothing to merge\n"
    # Another run on the same store has the tool from its first step on.
    answers(
        *[
            line
            for n in (1, 2)
            for line in (reply(("add_bags", numbers(n))), reply(("submit", {"answer": made("train", 0, n).truth})))
        ]
    )
    ids = json.dumps([made("train", 0, n).id for n in (1, 2)])
    run("runs/two", "-s", f"taskset.ids={ids}", "-s", f"store={tmp_path / 'runs/one/store.db'}")
    report = json.loads(lamarck("eval", "runs/two", "--json", cwd=tmp_path).stdout)
    assert report["all"]["success_rate"] == 1.0 and report["made_tools"]["calls"] == 3
    assert report["made_tools"]["new_per_call"] == pytest.approx(1 / 3)


def test_a_tool_that_does_not_help_on_its_task_is_refused(tmp_path):
    wrong = {**PROPOSAL, "code": DOUBLE.replace("- given", "+ given")}
    wrong["tests"] = [
        {"arguments": {"start": 1, "given": 1, "bags": 1, "each": n}, "expected": 2 + n} for n in range(3)
    ]
    lines = [
        reply(("make_tool", wrong)),
        reply(("add_bags", {"start": 1, "given": 1, "bags": 1, "each": 1})),
        reply(("submit", {"answer": "3"})),
        reply(("submit", {"answer": "0"})),
    ]
    (tmp_path / "answers.jsonl").write_text("\n".join(lines) + "\n")
    lamarck(
        "run",
        *SUMS,
        "--limit",
        "1",
        "-s",
        'tools.builtin=["submit"]',
        "-s",
        "tools.make=true",
        "--out",
        "runs/x",
        cwd=tmp_path,
    )
    found = json.loads(lamarck("tools", "made", "runs/x", "--json", cwd=tmp_path).stdout)
    assert (found["tools"], found["proposed"], found["refused"]) == ([], 1, 1)
