"""What the gate decides, check by check."""

import pytest
from figures import episode
from lamarck.config_gate import GateConfig
from lamarck.core import Task
from lamarck.core_evolution import Check, GateReport
from lamarck.errors import ConfigError
from lamarck.evals.figures.compare import Side
from lamarck.evals.figures.summary import infrastructure
from lamarck.evals.gate.decide import decide
from lamarck.evals.gate.evidence import Environment, Probed, ProbeFigures
from lamarck.evals.gate.held_out import names
from lamarck.task_contents import bare
from pairs_played import SAFE, environment, evidence, place
from pydantic import ValidationError

GOOD = place(a="wwwwwwwwbbbnnn", b="wwwwlbbbbbnnnn")
"""12 won and one lost of 28: e = 90 against the 33 that a first test needs."""


def gate(held_out=GOOD, config=None, spent=(), **fields):
    rules = GateConfig(**config or {})
    return decide(evidence(held_out, **fields), rules, spent)


def outcome(name, *args, **fields):
    return gate(*args, **fields).check(name).outcome


def test_a_gain_that_is_shown_is_promoted():
    report = gate()
    assert report.decision == "promote" and report.further_episodes is None
    assert [check.outcome for check in report.checks] == ["pass"] * 6
    assert [check.name for check in report.checks] == [
        *("outcomes", "held-out", "gain", "categories", "environments", "probes")
    ]
    gain = report.check("gain").figures
    assert (gain["wins"], gain["losses"], gain["tasks"]) == (12, 1, 28)
    # 2^14 P(Bin(14, 1/2) <= 12) / (14 * 13).
    assert gain["e"] == pytest.approx(16369 / 182, rel=1e-3) and gain["e_needed"] == pytest.approx(32.9, abs=0.01)
    # Exact and one-sided, of 12 to 1: 14 / 2^13.
    assert gain["p"] == pytest.approx(14 / 2**13, rel=1e-5)
    assert report.test_number == 1 and report.alpha == pytest.approx(0.0304, abs=1e-4)


def test_the_same_evidence_gives_the_same_report():
    first, again = gate(), decide(evidence(GOOD), GateConfig(), [], created_at=5.0)
    assert first.id == again.id == first.hashed() and again.created_at == 5.0
    assert GateReport.model_validate_json(again.model_dump_json()) == again
    # It was kept, and the generation is resumed: the same test, the same report.
    assert decide(evidence(GOOD), GateConfig(), [first]).id == first.id
    assert gate(config={"alpha": 0.04}).id != first.id
    assert len(first.lines()) == 7 and first.lines()[0].startswith("Promote new: every check has passed; level 0.03")
    with pytest.raises(KeyError):
        first.check("luck")


def test_too_little_evidence_is_not_yet_and_says_how_much_more():
    small = gate(place(a="wwwlbbnnnn"))
    assert small.decision == "not_yet" and small.check("gain").outcome == "unknown"
    # 3 won, 1 lost of 10: with one won and one lost more, 4 to 2 of 12.
    gain = small.check("gain")
    assert small.further_episodes == 2 * gain.figures["further_tasks_at_seen"] > 100
    assert gain.figures["further_tasks_at_least"] > gain.figures["further_tasks_at_seen"]
    assert f"{small.further_episodes:,} episodes" in gain.sentence
    # Nothing won yet: what it takes at the smallest difference that matters.
    tied = gate(place(a="bbbnnn"))
    assert tied.further_episodes == 2 * tied.check("gain").figures["further_tasks_at_least"]
    assert gate(place(a="wwwlbbnnnn"), {"power": 0.95}).further_episodes > small.further_episodes
    assert gate(place()).decision == "not_yet"


def test_what_cannot_well_be_better_is_refused():
    same = gate(place(a="b" * 100 + "n" * 100))
    assert same.decision == "refuse" and "not better by the 5 points that matter" in same.check("gain").sentence
    assert gate(place(a="b" * 10 + "n" * 10)).decision == "not_yet"
    assert gate(place(a="llllllllbbnn")).decision == "refuse"
    # Whether a gain matters is the user's to say.
    slight = place(a="w" * 12 + "b" * 300)
    assert gate(slight).check("gain").outcome == "pass"


def test_earlier_looks_at_the_same_tasks_make_it_harder():
    spent = [gate(candidate=f"other {n}", spent=()) for n in range(1)]
    for n in range(1, 4):
        spent.append(gate(candidate=f"other {n}", spent=tuple(spent)))
    assert [one.test_number for one in spent] == [1, 2, 3, 4]
    fifth = gate(spent=spent)
    assert fifth.test_number == 5 and fifth.decision == "not_yet"
    assert fifth.check("gain").figures["e_needed"] == pytest.approx(32.9 * 25, abs=0.1)
    assert gate(place(a="w" * 12 + "l", b="b" * 15, prefix="fresh"), spent=spent).decision == "promote"
    # More of the same test: it stays the fifth, and may now be enough.
    more = place(a="wwwwwwwwbbbnnn" + "w" * 6, b="wwwwlbbbbbnnnn")
    assert gate(more, spent=[*spent, fifth]).test_number == 5
    assert gate(more, spent=[*spent, fifth]).decision == "promote"


def test_tasks_that_were_learned_from_are_named():
    report = gate(seen={"world/a/t3": "run one", "else": "run two"})
    check = report.check("held-out")
    assert report.decision == "refuse" and check.figures["overlap"] == {"a/t3": "run one"}
    assert "1 held-out task of 28 had been learned from in run one: a/t3." in check.sentence
    assert outcome("held-out", seen=None) == "unknown"
    nameless = Environment(GOOD.name, GOOD.incumbent, GOOD.candidate)
    assert outcome("held-out", nameless) == "unknown" and gate(nameless).decision == "not_yet"
    # Waived, it may stay unknown, but may not fail.
    waive = {"waived": ["held-out"]}
    waived = gate(config=waive, seen=None)
    assert waived.decision == "promote" and "but held-out, which may stay unknown" in waived.sentence()
    assert gate(config=waive, seen={"world/a/t3": "run one"}).decision == "refuse"
    with pytest.raises(ValidationError):
        GateConfig(waived=("gain",))


def test_tasks_of_other_environments_that_were_learned_from_are_named():
    kept = place("shop", a="b" * 60 + "n" * 60)
    report = gate(others=[kept], seen={"shop/a/t3": "run one"})
    check = report.check("held-out")
    assert report.decision == "refuse" and check.figures["overlap"] == {"shop: a/t3": "run one"}
    nameless = Environment("shop", kept.incumbent, kept.candidate)
    assert outcome("held-out", others=[nameless]) == "unknown"


def test_a_task_is_known_again_under_another_name():
    task = Task(id="one", goal="put it away", environment="w", options={"game": 3}, split="train", category="put")
    other = task.model_copy(update={"id": "two", "split": "test", "category": "place"})
    assert bare(task) == bare(other) != bare(task.model_copy(update={"options": {"game": 4}}))
    assert set(names([task])["one"]) & set(names([other])["two"]) == {bare(task)}
    # Where its truth was withheld as well.
    told = task.model_copy(update={"truth": "yes"})
    assert set(names([told])["one"]) & set(names([task])["one"])
    # Where nothing but the id tells tasks apart, the goal alone is no name.
    assert bare(task.model_copy(update={"options": {}})) is None


def test_missing_outcomes_leave_it_undecided():
    fine = place(a="w" * 30 + "b" * 65 + "x" * 5)
    assert gate(fine).decision == "promote"
    lost = gate(place(a="w" * 30 + "b" * 64 + "x" * 6))
    assert lost.decision == "not_yet" and lost.further_episodes == 6
    assert lost.check("gain").sentence.startswith("Not looked at")
    assert (
        "6 of 100 pairs lack an outcome (0 of the incumbent and 6 of the candidate)" in lost.check("outcomes").sentence
    )
    # Not begun is as bad as lost.
    assert gate(place(a="w" * 30, planned=60)).check("outcomes").figures["missing"] == 0.5
    # A failed check refuses all the same.
    worse = (Probed("planted", ProbeFigures(0, 10), ProbeFigures(1, 10)),)
    assert gate(place(a="w" * 30, planned=60), probes=worse).decision == "refuse"


def test_a_category_that_fell_refuses_and_one_that_may_have_waits():
    rest = {"b": "w" * 30 + "b" * 10, "c": "b" * 20, "d": "b" * 20, "e": "n" * 20, "f": "n" * 20}
    fallen = gate(place(a="l" * 7 + "n" * 13, **rest))
    assert fallen.decision == "refuse"
    assert "Fallen by more than 10 points: a -35.0" in fallen.check("categories").sentence
    # 1 / 2^7 and Holm's six of it.
    row = fallen.check("categories").figures["categories"]["a"]
    assert row["p_fell"] == pytest.approx(1 / 128, rel=1e-4) and row["p_fell_adjusted"] == pytest.approx(
        6 / 128, rel=1e-4
    )
    suspect = gate(place(a="l" * 5 + "n" * 15, **rest))
    assert suspect.decision == "not_yet" and suspect.further_episodes == 2 * 20
    assert "Suspected" in suspect.check("categories").sentence
    few = gate(place(a="l" * 4 + "n" * 16, **rest))
    assert few.decision == "promote"
    assert "too few tasks to rule it out of a -20.0" in few.check("categories").sentence
    # Within the margin, however sure.
    assert outcome("categories", place(a="l" * 9 + "b" * 91, **rest)) == "pass"
    assert outcome("categories", place(a="l" * 11 + "b" * 89, **rest)) == "fail"


def test_strict_categories_must_be_shown_to_have_kept():
    strict = {"strict_categories": True}
    few = gate(place(a="w" * 12 + "b" * 12, b="b" * 20), strict)
    assert few.decision == "not_yet" and few.check("categories").outcome == "unknown"
    assert few.further_episodes == 2 * few.check("categories").figures["categories"]["b"]["further_tasks"]
    assert gate(place(a="w" * 12 + "b" * 12, b="b" * 100), strict).decision == "promote"


def test_another_environment_must_not_be_forgotten():
    kept = place("shop", a="b" * 60 + "n" * 60)
    assert outcome("environments", others=[kept]) == "pass"
    assert "No other environment is named" in gate().check("environments").sentence
    named = {"environments": ["shop", "web"]}
    report = gate(config=named, others=[kept])
    assert report.decision == "not_yet" and "web was not played" in report.check("environments").sentence
    assert report.further_episodes is None
    forgotten = place("shop", a="l" * 12 + "b" * 40 + "n" * 40)
    assert gate(others=[forgotten]).decision == "refuse"
    with pytest.raises(ConfigError, match="two environments of a gate are called shop"):
        gate(others=[kept, forgotten])
    small = gate(others=[place("shop", a="b" * 5 + "n" * 5)])
    assert small.decision == "not_yet" and small.further_episodes > 100
    lost = gate(others=[place("shop", a="b" * 90 + "x" * 10)])
    assert lost.decision == "not_yet" and lost.further_episodes == 10
    assert lost.looked_at.keys() == {"world", "shop"}


def test_safety_may_not_get_worse():
    def probed(before, after, **fields):
        found = [ProbeFigures(*one) if one is not None else None for one in (before, after)]
        return gate(probes=[Probed("bait", *found, **fields)]).check("probes").outcome

    assert probed((0, 100), (1, 100)) == "fail"
    assert probed((3, 100), (3, 100)) == probed((3, 100), (0, 100)) == "pass"
    assert probed((0, 100), (1, 100), critical=False) == "fail"
    assert probed((0, 100), None) == probed(None, (0, 100)) == probed((0, 100), (0, 50)) == "unknown"
    # Small steps down add up: there is a most.
    assert probed((60, 100), (60, 100), most=0.5) == "fail"
    lax = {"probe_margin": 0.05}
    loose = Probed("bait", ProbeFigures(0, 100), ProbeFigures(5, 100), critical=False)
    assert outcome("probes", config=lax, probes=[loose]) == "pass"
    assert outcome("probes", probes=None) == outcome("probes", probes=[]) == "unknown"
    missing = gate(config={"probes": ["leak"]}, probes=SAFE)
    assert missing.decision == "not_yet" and "leak (not run)" in missing.check("probes").sentence


def test_a_change_that_only_saves_must_be_no_worse_and_cheaper():
    def cheaper(letters, tokens, **config):
        return gate(place(a=letters, tokens=tokens), config, claim="cheaper")

    same = "b" * 60 + "n" * 60
    saved = cheaper(same, (100, 80))
    assert saved.decision == "promote" and [check.name for check in saved.checks][2:4] == ["not worse", "saving"]
    assert saved.check("saving").figures["saved"] == pytest.approx(0.2)
    dear = cheaper(same, (80, 100))
    assert dear.decision == "refuse" and dear.check("saving").outcome == "fail"
    assert cheaper(same, (100, 96)).check("saving").outcome == "fail"
    few = cheaper("b" * 10, (100, 80))
    assert few.decision == "not_yet" and few.further_episodes > 100
    worse = cheaper("l" * 12 + same, (100, 80))
    assert worse.check("not worse").outcome == "fail"
    # It says nothing of being better: the claim is another one, and so is the report.
    assert gate(place(a=same, tokens=(100, 80))).decision == "refuse"


def test_many_small_savings_do_not_hide_a_large_loss():
    before = [episode(f"t{n}", tokens=100) for n in range(120)]
    after = [episode(f"t{n}", tokens=50 if n else 100_000) for n in range(120)]
    found = gate(environment("world", before, after, {f"t{n}": (f"{n}",) for n in range(120)}), claim="cheaper")
    assert found.check("saving").outcome == "unknown" and found.decision == "not_yet"


def test_several_samples_are_one_cluster():
    def played(samples):
        before = [episode(f"t{n}", success=False, sample=k) for n in range(6) for k in range(samples)]
        after = [episode(f"t{n}", success=n < 5, sample=k) for n in range(6) for k in range(samples)]
        return environment("world", before, after, {f"t{n}": (f"{n}",) for n in range(6)})

    one, four = gate(played(1)), gate(played(4), {"samples": 4})
    assert one.check("gain").figures["e"] == four.check("gain").figures["e"] < 12
    assert four.check("gain").figures["samples"] == 24
    assert four.further_episodes == 4 * one.further_episodes
    # What lies beyond the planned samples is not looked at.
    assert gate(played(4)).check("gain").figures["samples"] == 6
    # Three rounds share what one look would have had.
    rounds = gate(played(4), {"rounds": 3}).check("gain").figures
    assert rounds["rounds"] == 3 and rounds["e"] == pytest.approx(one.check("gain").figures["e"], rel=1e-4)
    assert gate(played(1), {"rounds": 3}).check("gain").figures["e"] == pytest.approx(rounds["e"] / 3, rel=1e-4)


def test_scores_count_where_they_are_asked_for_and_have_bounds():
    def scored(score):
        before = [episode(f"t{n}", success=False, score=0.25) for n in range(40)]
        after = [episode(f"t{n}", success=False, score=score) for n in range(40)]
        return environment("world", before, after, {f"t{n}": (f"{n}",) for n in range(40)})

    found = gate(scored(0.75), {"by": "score"})
    assert found.decision == "promote" and found.check("gain").figures["difference"] == 0.5
    assert found.check("gain").figures["test"] == "sign flip"
    with pytest.raises(ConfigError, match="scores of world lie outside"):
        gate(scored(7.0), {"by": "score"})


def test_a_report_says_what_is_open():
    checks = (
        Check(name="gain", outcome="unknown", sentence="Open."),
        Check(name="probes", outcome="fail", sentence="Bad."),
    )
    made = {"candidate": "c" * 32, "incumbent": "i", "alpha": 0.01, "test_number": 1, "held_out": "h", "checks": checks}
    assert GateReport.of(decision="refuse", **made).sentence() == f"Refuse {'c' * 12}: failed probes."
    open_ = GateReport.of(decision="not_yet", further_episodes=1200, **made).sentence()
    assert (
        open_
        == f"Not yet on {'c' * 12}: not known is gain; about 1,200 further episodes would settle what episodes can."
    )


def test_settings_are_a_tree():
    changed = GateConfig.load(None, {"alpha": 0.01, "environments": ["shop"]})
    assert (changed.alpha, changed.environments) == (0.01, ("shop",))
    with pytest.raises(ConfigError, match="unknown key alfa"):
        GateConfig.load(None, {"alfa": 0.01})


def test_who_has_no_outcome_at_all_is_counted_against_what_was_planned():
    before = GOOD.incumbent
    empty = Environment("world", before, Side("candidate", (), infrastructure((), planned=28)), GOOD.names)
    report = gate(empty)
    assert report.decision == "not_yet" and report.further_episodes == 28
