"""`lamarck report` of an evolution: what a person reads, that hostile text stays text, and that 200 generations fit."""

import json
import re

import pytest
from browser import chromium, find, visit
from evolved import evolve
from generations import HOSTILE, home
from lamarck.cli.app import app
from lamarck.cli.evolving.home import Home
from lamarck.cli.evolving.reported import gather
from lamarck.cli.evolving.reported_memory import effect_of
from lamarck.config_evolve import EvolveConfig
from lamarck.errors import ConfigError
from lamarck.evals.reports.evolution import outcome, render
from lamarck.evals.reports.evolution_course import spans
from lamarck.evals.reports.evolution_data import Node
from lamarck.evals.reports.evolution_plots import COLUMNS, grouped, lanes_of
from lamarck.memory.state import State
from typer.testing import CliRunner

PLAN = ["not_yet", "promote", "refuse", "promote", "unchanged", "not_yet", "refuse", None]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("evolution") / "eight"
    home(path, PLAN, alarms=[("one answer", f"All is the same. {HOSTILE}")])
    return path


@pytest.fixture(scope="module")
def page(folder):
    return gather(Home(folder))


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    path = tmp_path_factory.mktemp("evolution") / "many"
    home(path, ["not_yet", "refuse", "refuse", "promote"] * 50, memory=False, categories=[f"c{n}" for n in range(40)])
    return path


def text(html):
    """Return what stands on a page, without its markup, style and script."""
    html = re.sub(r"<(style|script)[^>]*>.*?</\1>", "", html, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


def invoke(*arguments):
    return CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)


def test_the_page_says_what_came_of_it(page):
    said = text(render(page))
    head = page.head
    assert (
        f"In force is release {head.id[:12]}, made in generation 4. The gate promoted the candidate of 2 generat"
        in said
    )
    assert "7 of 10 generations" in said and "2 promoted" in said and "2 refused" in said and "2 not yet" in said
    assert "31.0 % [22.8, 40.6] held out, in force at first" in said
    assert "36,000 tokens" in said and "0.0800 USD" in said and "27 min of work" in said
    assert "44/100, 44.0 % [34.7, 53.8]" in said  # the candidate of generation 4
    assert "accuracy, last: 0.9 accepts wrong, last: 0.05 rejects right, last: 0.125 weight, last: 0.75" in said
    assert "8 attempts of training were lost to infrastructure" in said
    assert "Generation 8 goes on, or was stopped." in said


def test_what_was_refused_and_why(page):
    said = text(render(page))
    assert "Generation 3: Refuse" in said and "fail gain : By 7 of 100 in generation 3." in said
    assert "Generation 1: Not yet on" in said and "Generation 4: Promote" in said
    assert "gain 2 2 2" in said and "probes 6 0 0" in said
    one = page.stages[2].judged
    assert one.decision == "refuse" and one.test_number == 3 and [c.outcome for c in one.checks].count("fail") == 1


def test_what_was_learned_has_its_causal_value(page):
    found = {one.applies: one for one in page.learned}
    assert "gone" not in found  # retired
    measured = found["look at the pan"].effect
    # Means .75 and -.25 of 8 each; drawn together by 2 imagined episodes with the mean of all, .25, on each side.
    assert measured.value == pytest.approx((6 + 0.5) / 10 - (-2 + 0.5) / 10) and (measured.kept, measured.left_out) == (
        8,
        8,
    )
    assert measured.low < 1.0 < measured.high and found["heat the egg"].effect is None
    said = text(render(page))
    assert "look at the pan Switch on the lamp first. +0.80 [" in said and "8 with, 8 without +0.50 ± " in said
    assert f"The release in force, {page.head.id[:12]}." in said
    changed = {one.generation: one for one in page.changes}
    assert (changed[3].added, changed[3].removed, changed[3].changed) == (1, 0, 1)


def test_an_effect_has_the_interval_of_two_shares():
    # 56 of 70 and 48 of 80 as rewards 1 and -1 (Newcombe 1998, table II, a): .2 [.0524, .3339], in rewards twice that.
    state = State(kept=70, kept_sum=56 - 14, left_out=80, left_out_sum=48 - 32)
    found = effect_of(state, 0.0)
    assert (found.value, found.low, found.high) == pytest.approx((0.4, 0.1048, 0.6678), abs=1e-4)
    assert effect_of(State(kept=5), 0.0) is None and effect_of(State(left_out=5), 0.0) is None


def test_hostile_text_stays_text(page):
    html = render(page)
    assert "<script" not in html and "<img" not in html and "script-src 'none'" in html
    assert html.count("&lt;/script&gt;&lt;script&gt;") > 8  # categories, checks, alarms, items, changes


def test_a_browser_shows_it_and_asks_nothing(folder, tmp_path):
    file = tmp_path / "report.html"
    assert invoke("report", folder, "--out", file, "--quiet").exit_code == 0
    with chromium() as browser:
        asked, console = visit(browser, file)
        assert asked == [file.as_uri()] and console == []
        assert browser.execute_script("return window.evil") is None
        width = "return document.documentElement.scrollWidth"
        assert browser.execute_script(width) <= 1200
        names = ("p-held-out", "p-trained", "p-tree", "p-memory", "p-value", "p-curriculum", "p-reward", "p-time")
        assert all(find(browser, f"svg#{name}")[0].is_displayed() for name in names)
        assert len(find(browser, "#p-tree circle:not(.ring)")) == 8 and len(find(browser, "#p-tree .ring")) == 1
        headings = [one.text for one in find(browser, "h2")]
        narrow = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
        assert browser.execute_script(width) <= 360
        assert headings[:3] == ["Generations", "Releases", "What was learned"] and len(headings) == 8


def test_two_hundred_generations_are_thinned(many):
    page = gather(Home(many))
    html = render(page)
    assert len(page.stages) == 200 and len(page.tree) == 201
    assert len(html) < 400_000
    assert html.count("<tr") < 150 and html.count("<details") < 60 and html.count("<rect") < 1500
    assert "30 of 200 generations are in this table" in html and "earlier ones are left out here" in html
    assert "27 others" in html


def test_json_has_everything(many, tmp_path):
    done = invoke("report", many, "--out", tmp_path / "r.html", "--json")
    found = json.loads(done.stdout)
    assert found["file"] == str(tmp_path / "r.html") and found["bytes"] == (tmp_path / "r.html").stat().st_size
    assert len(found["stages"]) == 200 and found["stages"][3]["weighed"]["solved"] == 44
    assert found["moves"][1]["action"] == "promote" and len(found["stages"][2]["judged"]["checks"]) == 4


def test_an_evolution_is_reported_by_itself(folder, many):
    done = CliRunner().invoke(app, ["report", str(folder), str(many)])
    assert isinstance(done.exception, ConfigError) and "by itself" in str(done.exception)


def test_an_evolution_that_has_not_begun(tmp_path):
    found = Home(tmp_path)
    found.create(EvolveConfig(), resume=False)
    with pytest.raises(ConfigError, match=r"no generation of .* has begun"):
        gather(found)


def test_a_first_generation_that_goes_on(tmp_path):
    page = gather(home(tmp_path / "one", [None]))
    said = text(render(page))
    assert "Nothing was promoted" in outcome(page) and "Generation 1 goes on" in said
    assert "1 release; 1 was in force" in said and "1 sample each" in said
    assert "1 attempt of training was lost to infrastructure" in said


def test_a_real_evolution(tmp_path):
    small = {"propose.tasks": 1, "held_out.limit": 1, "held_out.chunk": 1}
    evolve(tmp_path / "real", generations=1, **small)
    page = gather(Home(tmp_path / "real"))
    said = text(render(page))
    assert [one.decision for one in page.stages] == ["not_yet"] and page.stages[0].skipped["train"] == "switched off"
    assert "look_at_obj_in_light 1" in said and "the newest with a memory; the one in force has none" in said
    assert {"collect", "gate", "distil"} <= page.stages[0].spent.keys()
    assert any(check.name == "gain" for check in page.stages[0].judged.checks)


def test_branches_get_lanes_of_their_own():
    def node(ident, parent, generation, head=False):
        return Node(ident, parent, generation, (), None, head, head)

    nodes = [node("r", None, 0), node("a", "r", 1), node("b", "r", 2, True), node("c", "a", 3), node("d", "r", 3)]
    lanes = lanes_of(nodes)
    assert lanes["r"] == lanes["b"] == 0 and lanes["a"] == lanes["c"] == 1 and lanes["d"] == 2
    # What was tried one after the other has room in one lane.
    assert set(
        lanes_of([nodes[0], node("b", "r", 9, True), *(node(f"x{n}", "r", n) for n in range(1, 9))]).values()
    ) == {0, 1}


def test_self_made_tasks_are_counted_where_they_are_written_down(tmp_path):
    found = home(tmp_path / "one", [None])
    one = found.kept()[0]
    asked = {"tasks": 3, "categories": 2, "refused": {"near_duplicate": 0.25, "unsolvable": 0.5}}
    found.keep(one.model_copy(update={"figures": {**one.figures, "propose": asked}}))
    (found.generation(1) / "tasks.jsonl").write_text(
        '{"category": "heat"}\n{"category": "cool"}\n{"category": "heat"}\n'
    )
    page = gather(found)
    assert page.stages[0].curriculum == {"heat": 2, "cool": 1}
    assert "unsolvable 50.0 % near duplicate 25.0 %" in text(render(page))


def test_groups_and_spans():
    assert grouped(3) == [range(0, 1), range(1, 2), range(2, 3)]
    assert len(grouped(1000)) <= COLUMNS and grouped(1000)[-1].stop == 1000
    assert spans([1, 2, 3, 5, 7, 8]) == "1 to 3, 5, 7 to 8"
