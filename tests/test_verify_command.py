"""`lamarck verify` and verifiers in `lamarck run`, as a stranger meets them."""

import asyncio
import json

import pytest
from judgements import verdict
from lamarck.agent.verifiers.judgements import FILE, Judgements
from lamarck.agent.verifiers.records import Record, Verdicts
from lamarck.cli.app import app
from lamarck.cli.verify_judge import judge
from lamarck.errors import LamarckError, StoreError
from lamarck.evals.figures.played import Played
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from lamarck.training.outcomes import given
from shell import complaint
from typer.testing import CliRunner

RULE = ["-s", 'verify.options.checks=[{answer = "-?[0-9]+"}]']
QUESTIONS = ["--taskset", "questions", "-s", "solver.protocol=text", "-s", "solver.max_steps=2"]


def script(path, count):
    """Write answers that are no number at every other question; every fourth says how it computed."""
    texts = ["<action>many</action>", "<action>5</action>", "<action>few</action>", "1 + 1 = 3 <action>3</action>"]
    path.write_text("".join(json.dumps(texts[n % 4]) + "\n" for n in range(count)))
    return ["-m", f"scripted:{path}"]


def lamarck(*arguments):
    """Run a command in this process; return what it prints."""
    done = CliRunner(env={"COLUMNS": "200"}).invoke(app, [str(one) for one in arguments])
    if isinstance(done.exception, Exception):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def refusal(*arguments):
    """Return what a wrong request is answered with."""
    with pytest.raises(LamarckError) as raised:
        lamarck(*arguments)
    return str(raised.value)


def stored(run):
    with Store.open(run / "store.db") as store:
        return sorted(store.trajectories(), key=lambda t: (t.task.id, t.attempt))


def test_judged_afterwards_and_in_the_loop(tmp_path):
    plain, out = tmp_path / "plain", tmp_path / "judged"
    run = ["run", *QUESTIONS, "--limit", 8, "-j", 1, "-q", *script(tmp_path / "script.jsonl", 40)]
    lamarck(*run, "-o", plain)
    before = stored(plain)
    said = json.loads(lamarck("verify", plain, "--by", "rule", *RULE, "--name", "number", "--json"))
    assert (said["judged"], said["already"]) == (8, 0)
    [known] = said["verifiers"]
    assert known["judge"] == "number" and known["n"] == 8 and known["accepts_wrong"]["count"] == 4
    # What was judged stays as it was, and is not judged twice.
    assert stored(plain) == before
    again = json.loads(lamarck("verify", plain, "--by", "rule", *RULE, "--name", "number", "--json"))
    assert (again["judged"], again["already"]) == (0, 8) and again["verifiers"] == said["verifiers"]
    text = lamarck("verify", plain, "--by", "recompute")
    assert "8 attempts judged by recompute" in text and "too little is known" in text
    both = lamarck("verify", "agreement", plain, "--json")
    assert [one["judge"] for one in json.loads(both)["verifiers"]] == ["number", "recompute"]
    unsure = json.loads(both)["verifiers"][1]
    assert (unsure["n"], unsure["unjudged"], unsure["weight"]) == (2, 6, 1.0)

    # In the loop, with nothing of the outcome in the store; evaluation still has it.
    keep = ["-s", "verify.by=rule", *RULE, "-s", "verify.withhold=true", "-s", "repair.by=verifier"]
    keep += ["-s", "repair.trials=2"]
    lamarck(*run, *keep, "-o", out)
    found = stored(out)
    assert all(one.success is None and one.reward is None and one.task.truth is None for one in found)
    assert {one.verdict.judge for one in found} == {"rule"} and any(one.attempt == 1 for one in found)
    assert all(one.verdict.passed for one in found if one.attempt == 1 or "5" in (one.steps[-1].action or ""))
    [known] = json.loads(lamarck("verify", "agreement", out, "--json"))["verifiers"]
    assert known["judge"] == "rule" and known["n"] == len(found)
    assert Played.read(RunDirectory(out)).total.unknown == 0
    file = tmp_path / "agreement.json"
    file.write_text(json.dumps({"verifiers": [known | {"weight": 0.0, "why": "it is no better than chance"}]}))
    deaf = tmp_path / "deaf"
    lamarck(*run, *keep, "-s", f"verify.trust.agreement={file}", "-o", deaf)
    assert all(one.verdict is None and one.attempt == 0 for one in stored(deaf))
    assert "no better than chance" in stored(deaf)[0].meta["unjudged"]["why"]


def test_members_of_a_vote_have_rows_of_their_own(tmp_path):
    run = ["run", *QUESTIONS, "--limit", 4, "-j", 1, "-q", *script(tmp_path / "script.jsonl", 20)]
    checks = '{by = "rule", options = {checks = [{answer = "-?[0-9]+"}]}}'
    members = ["-s", f'verify.options.members=[{checks}, {{by = "judgements:Guest", weight = 0.5}}]']
    lamarck(*run, "-o", tmp_path / "plain")
    said = json.loads(lamarck("verify", tmp_path / "plain", "--by", "vote", *members, "--name", "both", "--json"))
    [known] = said["verifiers"]
    rule, guest = known["members"]
    assert (known["judge"], rule["judge"], guest["judge"]) == ("both", "rule", "guest")
    assert rule["n"] == guest["n"] == 4 and guest["rejects_right"]["value"] in (None, 1.0)
    # In a table they stand below it, without a weight.
    lines = lamarck("verify", "agreement", tmp_path / "plain").splitlines()
    rows = [[part.strip() for part in line.split("│")] for line in lines if "│" in line][-3:]
    assert [(row[1], row[-2]) for row in rows] == [("both", "1.00"), ("rule", "-"), ("guest", "-")]
    # In the loop, where the vote could not judge, its members are heard as well.
    equal = [one.replace("weight = 0.5", "weight = 1.0") for one in members]
    lamarck(*run, "-s", "verify.by=vote", *equal, "-o", tmp_path / "loop")
    [known] = json.loads(lamarck("verify", "agreement", tmp_path / "loop", "--json"))["verifiers"]
    assert known["judge"] == "vote" and known["unjudged"] > 0
    assert [member["n"] for member in known["members"]] == [4, 4]


def test_one_line_for_what_is_wrong(tmp_path):
    run = ["run", *QUESTIONS, "--limit", 2, "-q", *script(tmp_path / "script.jsonl", 9), "-o", tmp_path / "run"]
    lamarck(*run)
    for number, (settings, line) in enumerate(
        (
            (["repair.by=verifier"], "repair.by = verifier needs a verifier, and verify.by is none"),
            (["repair.by=verifier", "verify.by=environment"], "and verify.by is environment"),
            (["verify.withhold=true", "repair.by=reflexion"], "goes by it"),
            (["verify.withhold=true", "verify.by=environment"], "environment needs it"),
            (["verify.by=judge", "verify.options.rubrik=x"], "has no option rubrik; it takes: rubric"),
            (
                ["verify.by=rule", "verify.options.checks=[{max_steps = 1}]", "verify.trust.agreement=no.json"],
                "no.json",
            ),
            (["verify.confidence=1"], "confidence"),
        )
    ):
        more = [part for setting in settings for part in ("-s", setting)]
        assert line in refusal(*run[:-1], tmp_path / f"wrong{number}", *more), settings
    assert "no verifier is named" in refusal("verify", tmp_path / "run")
    assert "there is no run" in refusal("verify", tmp_path / "nothing", "--by", "rule")
    assert "has no checks" in refusal("verify", tmp_path / "run", "--by", "rule")
    assert "no tool to run code with" in refusal("verify", tmp_path / "run", "--by", "code")
    line = complaint("verify", tmp_path / "run", "--by", "jugde")
    assert "there is no verifier 'jugde'; there are: certainty" in line


def test_verdicts_survive_a_torn_line(tmp_path):
    verdicts = Verdicts(tmp_path)
    known = [Record.model_validate({"trajectory_id": f"t{n}", "verdict": {"passed": True, "score": 1}}) for n in (0, 1)]
    verdicts.add("a b", known[0])
    [file] = (tmp_path / "verdicts").iterdir()
    with file.open("a") as torn:
        torn.write('{"trajectory_id": "t9", "ver')
    verdicts.add("a b", known[1])
    assert Verdicts(tmp_path).judges() == ["a b"]
    read = verdicts.read("a b")
    assert list(read.records) == ["t0", "t1"] and read.damaged == 1
    assert verdicts.read("other").records == {}


def test_a_line_cut_within_a_letter_costs_no_other(tmp_path):
    verdicts = Verdicts(tmp_path)
    for ident in ("one", "two"):
        verdicts.add("rule", Record(trajectory_id=ident, verdict=verdict(critique="zu groß", judge="rule")))
    [file] = (tmp_path / "verdicts").iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex("ß".encode()) + 1])
    assert list(verdicts.read("rule").records) == ["one"] and verdicts.judges() == ["rule"]
    assert list(given(tmp_path, "rule")) == ["one"]
    verdicts.add("rule", Record(trajectory_id="two", verdict=verdict(judge="rule")))
    read = verdicts.read("rule")
    assert list(read.records) == ["one", "two"] == list(given(tmp_path, "rule")) and read.damaged == 1


def test_what_a_judge_was_asked_is_kept_where_its_verdict_is_and_before_it(tmp_path):
    run, out = tmp_path / "run", tmp_path / "out"
    lamarck("run", *QUESTIONS, "--limit", 1, "-q", *script(tmp_path / "script.jsonl", 1), "-o", run)
    (tmp_path / "judge.jsonl").write_text('"I cannot say."\n')
    directory = RunDirectory(run)
    config = directory.load_config()
    judged = {"by": "judge", "model": f"scripted:{tmp_path / 'judge.jsonl'}", "record": True, "options": {"again": 0}}
    config = config.model_copy(update={"verify": config.verify.model_copy(update=judged)})
    (out / FILE).mkdir(parents=True)
    # It cannot be written: as after a kill at that point, the attempt is judged again.
    with pytest.raises(StoreError):
        asyncio.run(judge(config, directory, Verdicts(out), "judge", None))
    assert not Verdicts(out).read("judge").records
    (out / FILE).rmdir()
    assert asyncio.run(judge(config, directory, Verdicts(out), "judge", None)) == (1, 0)
    assert list(Judgements(out).read()) == list(Verdicts(out).read("judge").records) == [stored(run)[0].id]
    assert not (run / FILE).exists()
