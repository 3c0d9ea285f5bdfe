"""What a generation is grown from, over idle generations and over roll-backs; and what happens where someone changes
the release in force while a generation goes on."""

import asyncio
from dataclasses import replace

import pytest
from evolved import SETTINGS, in_process
from generations import home as made_home
from generations import judged, record, side
from lamarck.agent.evolution.graph import EvolutionContext, evolve
from lamarck.cli.evolving.again import left_open
from lamarck.cli.evolving.gating import Gating
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.phases import Evolving
from lamarck.cli.evolving.reported import gather
from lamarck.cli.evolving.tree import fit, latest, nodes
from lamarck.cli.evolving.words import said
from lamarck.config_evolve import EvolveConfig
from lamarck.core_evolution import Check, GateReport
from lamarck.errors import ConfigError
from lamarck.releases import Releases
from released import draft


def growing(folder, how, **settings):
    return EvolveConfig.load(None, SETTINGS | {"grow": how} | settings)


def parent(folder, how, number=9):
    """Return what a generation would grow from, and what is in force."""
    with Releases.open(folder) as releases:
        phases = Evolving(Home(folder), growing(folder, how), releases, quiet=True)
        return asyncio.run(phases.choose(number))


def candidates(folder):
    return [one.candidate for one in Home(folder).kept()]


# The latest candidate.


def test_an_idle_generation_does_not_lose_what_was_not_yet_shown(tmp_path):
    folder = made_home(tmp_path / "h", ["refuse", "not_yet"]).path
    head, last = Home(folder).kept()[0].head, candidates(folder)[-1]
    assert parent(folder, "latest") == (last, head)
    for number in (3, 4):
        Home(folder).keep(record(number, last, head, last, "unchanged"))
        assert parent(folder, "latest") == (last, head)


def test_an_idle_generation_after_a_refusal_leaves_it_refused(tmp_path):
    folder = made_home(tmp_path / "h", ["not_yet", "refuse"]).path
    head = Home(folder).kept()[0].head
    Home(folder).keep(record(3, head, head, head, "unchanged"))
    assert parent(folder, "latest") == (head, head)


def test_what_was_refused_when_weighed_again_is_given_up(tmp_path):
    folder = made_home(tmp_path / "h", ["not_yet"]).path
    [one] = Home(folder).kept()
    with Releases.open(folder) as releases:
        releases.put_report(judged(one.candidate, one.head, "refuse", 7))
    assert parent(folder, "latest") == (one.head, one.head)


def test_what_was_weighed_against_another_head_is_not_grown_further(tmp_path):
    folder = made_home(tmp_path / "h", ["promote", "not_yet"]).path
    first, second = Home(folder).kept()
    assert parent(folder, "latest") == (second.candidate, first.candidate)
    with Releases.open(folder) as releases:
        releases.rollback()
    assert parent(folder, "latest") == (first.head, first.head)


def test_the_latest_of_nothing():
    assert latest([], [], "h") is None


# The release in force is changed by someone else.


class Interrupted:
    """The phases of a home of which only `settle` is left; before it, someone does something."""

    def __init__(self, home, releases, config):
        self._home = home
        self._gating = Gating(home, config, releases, quiet=True)

    async def settle(self, now):
        return await self._gating.settle(now)

    def keep(self, now):
        self._home.keep(now)

    def kept(self):
        return self._home.kept()


def settled(home, meddle):
    """Let a generation settle whose candidate is to be promoted, after someone has meddled."""
    with Releases.open(home.path) as releases:
        head, made = releases.head(), releases.put(draft(parent="head", prompt="Say it better."))
        report = judged(made.id, head.id, "promote", 9)
        releases.put_report(report)
        number = len(home.kept()) + 1
        now = record(number, head.id, head.id, made.id, "promote", report=report.id, skipped={"verify": "off"})
        figures = {name: found for name, found in now.figures.items() if name not in ("verify", "settle")}
        home.keep(now.model_copy(update={"ended": False, "figures": figures | {"build": {}}}))
        meddle(releases, made.id)
        phases = Interrupted(home, releases, growing(home.path, "head"))
        last = asyncio.run(evolve(EvolutionContext(phases, number)))[-1]
        return last, releases.head().id, releases.log.rows()


def test_a_roll_back_meanwhile_is_not_undone_and_does_not_stop_the_evolution(tmp_path):
    home = made_home(tmp_path / "h", ["promote"])
    first = home.kept()[0].head
    last, head, rows = settled(home, lambda releases, made: releases.rollback())
    assert (last.ended, last.decision, head, rows[-1].action) == (True, "not_yet", first, "rollback")
    assert f"lamarck release gate {home.path} {last.candidate[:12]}" in last.figures["settle"]["overtaken"]
    assert first[:12] in said(last) and "nothing was promoted" in said(last) and "Promote" not in said(last)
    assert parent(home.path, "latest") == (first, first)
    assert "nothing was promoted" in gather(home).stages[-1].judged.sentence
    with Releases.open(home.path) as releases:
        with pytest.raises(ConfigError, match="and the head is"):
            releases.promote(last.candidate)
        assert left_open(home, releases, last) == f"{last.figures['settle']['overtaken']}."
        # Weighed again, it is shown to be better than what is in force now.
        report = judged(last.candidate, first, "promote", 11)
        releases.put_report(report)
        assert left_open(home, releases, last).startswith("Put it in force with: lamarck release promote")
        releases.promote(last.candidate)
        assert left_open(home, releases, last) is None


def test_alarms_read_what_is_in_force_and_not_what_was_overtaken(tmp_path, monkeypatch):
    home, read = made_home(tmp_path / "h", ["promote"]), []
    monkeypatch.setattr(
        "lamarck.cli.evolving.phases.rung", lambda records, config: read.append(records[-1].decision) or []
    )
    with Releases.open(home.path) as releases:
        head, made = releases.head(), releases.put(draft(parent="head", prompt="Say it better."))
        report = judged(made.id, head.id, "promote", 9)
        releases.put_report(report)
        releases.rollback()
        phases = Evolving(home, growing(home.path, "head"), releases, quiet=True)
        figures = asyncio.run(phases.settle(record(2, head.id, head.id, made.id, "promote", report=report.id)))
    assert "overtaken" in figures and read == ["not_yet"]


def test_another_release_forced_meanwhile_stays(tmp_path):
    home = made_home(tmp_path / "h", ["refuse"])
    other = home.kept()[0].candidate
    last, head, _ = settled(home, lambda releases, made: releases.promote(other, force="I want it"))
    assert (last.decision, head) == ("not_yet", other)


def test_the_candidate_itself_forced_meanwhile_is_in_force(tmp_path):
    last, head, rows = settled(
        made_home(tmp_path / "h", []), lambda releases, made: releases.promote(made, force="at once")
    )
    assert (last.decision, head, rows[-1].action) == ("promote", last.candidate, "force")
    assert "overtaken" not in last.figures["settle"]


def test_undisturbed_it_is_promoted(tmp_path):
    last, head, rows = settled(made_home(tmp_path / "h", []), lambda releases, made: None)
    assert (last.decision, head, rows[-1].action) == ("promote", last.candidate, "promote")


# By clade.


def drawn(folder, times=12):
    """Return what may be drawn by clade, after having drawn now and then."""
    with Releases.open(folder) as releases:
        found = {branch.release.id for branch in fit(releases, Home(folder).kept())}
    assert {parent(folder, "clade", number)[0] for number in range(times)} <= found
    return found


def failed(candidate, incumbent, name):
    """Return a report that refuses a candidate for one check."""
    checks = (Check(name=name, outcome="fail", sentence="No."),)
    return GateReport.of(
        candidate=candidate, incumbent=incumbent, decision="refuse", alpha=0.01, test_number=2, held_out="h" * 32,
        checks=checks, created_at=9e12,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "is_drawn"), [("probes", False), ("held-out", False), ("gain", True)])
def test_what_holds_what_it_must_not_is_never_grown_from(tmp_path, name, is_drawn):
    folder = made_home(tmp_path / "h", ["refuse", "not_yet"]).path
    one, other = Home(folder).kept()
    assert drawn(folder) == {one.head, one.candidate, other.candidate}
    with Releases.open(folder) as releases:
        child = releases.put(draft(parent=one.candidate, prompt="Of it."))
        Home(folder).keep(record(3, one.candidate, one.head, child.id, "not_yet"))
        releases.put_report(failed(one.candidate, one.head, name))
    assert drawn(folder) == {one.head, other.candidate, *([one.candidate, child.id] if is_drawn else [])}


def test_what_someone_forced_in_spite_of_that_is_theirs_to_grow_from(tmp_path):
    folder = made_home(tmp_path / "h", ["refuse"]).path
    [one] = Home(folder).kept()
    with Releases.open(folder) as releases:
        releases.put_report(failed(one.candidate, one.head, "probes"))
        releases.promote(one.candidate, force="the probe is wrong here")
    assert drawn(folder) == {one.head, one.candidate}


def test_what_was_rolled_back_is_not_grown_from(tmp_path):
    folder = made_home(tmp_path / "h", ["promote", "not_yet"]).path
    first, second = Home(folder).kept()
    assert drawn(folder) == {first.head, first.candidate, second.candidate}
    with Releases.open(folder) as releases:
        releases.rollback()
    assert drawn(folder) == {first.head}


def test_nothing_is_known_of_what_was_imported(tmp_path):
    folder = made_home(tmp_path / "h", ["not_yet"]).path
    [one] = Home(folder).kept()
    with Releases.open(folder) as releases:
        alike, foreign = releases.put(draft(prompt="Mine.")), releases.put(replace(draft(), base_model="b"))
        assert drawn(folder) == {one.head, one.candidate}
        for each in (alike, foreign):
            releases.put_report(judged(each.id, one.head, "not_yet", 5))
        # Weighed here, one may be grown from; another model's adapter and memory are not this one's.
        assert drawn(folder) == {one.head, one.candidate, alike.id}


def test_the_longest_look_at_a_release_counts(tmp_path):
    folder = made_home(tmp_path / "h", ["not_yet", "not_yet"]).path
    first, second = Home(folder).kept()
    short = {"games": 20, "solved": 20, "interval": [0.8, 1.0]}
    figures = second.figures | {"gate": second.figures["gate"] | {"incumbent": short}}
    Home(folder).keep(second.model_copy(update={"figures": figures}))
    with Releases.open(folder) as releases:
        found = {node.id: node for node in nodes(Home(folder).kept(), releases.tree())}
    assert found[first.head].evaluations == first.figures["gate"]["incumbent"]["games"] == 100


def test_a_whole_evolution_by_clade(tmp_path):
    home, settings = Home(tmp_path / "h"), {"grow": "clade", "held_out.limit": 1, "probes": ["provenance"]}
    assert in_process(home.path, **settings, generations=1)
    [first] = home.kept()
    assert first.candidate != first.parent == first.head
    # As if it had been looked at for long, so that the draw is hardly one.
    seen = {"incumbent": side(0, 400), "candidate": side(400, 400)}
    home.keep(first.model_copy(update={"figures": first.figures | {"gate": first.figures["gate"] | seen}}))
    assert in_process(home.path, **settings, generations=2)
    second = home.kept()[-1]
    assert second.ended and (second.parent, second.head) == (first.candidate, first.head)
    with Releases.open(home.path) as releases:
        assert releases.get(second.candidate).parent == first.candidate
        releases.put_report(failed(first.candidate, first.head, "probes"))
    assert parent(home.path, "clade", 3) == (first.head, first.head)
