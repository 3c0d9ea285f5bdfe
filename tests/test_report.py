"""`lamarck report`: the page in a real browser, and its parts by hand."""

import json
import math
from collections import Counter

import pytest
from browser import chromium, find, requests, shown, visit
from hostile import ALL, BREAKOUTS
from lamarck.cli.play import play
from lamarck.config import RunConfig
from lamarck.core import Failure, Message, Round, Step, Task, ToolCall, Trajectory, Usage, Verdict
from lamarck.errors import ConfigError
from lamarck.evals.figures.compare import compare
from lamarck.evals.figures.played import Played
from lamarck.evals.reports import plots, svg
from lamarck.evals.reports.gather import gather
from lamarck.evals.reports.page import render, write
from lamarck.evals.reports.pick import pick, spread
from lamarck.evals.reports.records import ROOMS, record
from lamarck.evals.reports.texts import Texts, escaped, script_json, visible
from lamarck.rundir import RunDirectory
from lamarck.store import Store
from shell import complaint, lamarck

TINY = {"taskset.name": "household", "taskset.options.size": "tiny", "taskset.limit": 12, "solver.max_steps": 12}


def played(path, **overrides):
    config = RunConfig.load(None, overrides)
    directory = RunDirectory(path)
    play(config, directory, resume=False, quiet=True)
    return directory


def add(directory, *trajectories):
    """Put made-up trajectories into a run."""
    with Store.open(directory.store_path) as store:
        for one in trajectories:
            store.finish(one.model_copy(update={"run_id": directory.run_id}))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two household runs on the same tasks; random wins now and then, so there are successes and failures."""
    folder = tmp_path_factory.mktemp("runs")
    random = played(folder / "random", **TINY, **{"model.name": "random", "collect.samples": 2})
    first = played(folder / "first", **TINY, **{"model.name": "first", "collect.samples": 2})
    return random, first


@pytest.fixture(scope="module")
def pages(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    data = {"one": gather(runs[:1]), "two": gather(runs)}
    for name, page in data.items():
        write(page, folder / f"{name}.html")
    return folder, data


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    directory = played(folder / "run", **{"taskset.name": "hostile:HostileTaskset", "model.name": "random"})
    add(directory, busy(), lost())
    file = folder / "a page.html"
    write(gather([directory]), file)
    return file


@pytest.fixture(scope="module")
def browser():
    with chromium() as one:
        yield one


def busy():
    """A trajectory with everything in it that a trajectory can have."""
    calls = (
        ToolCall(id="a", name=f"run {ALL}", arguments={"code": ALL}, result=ALL, seconds=0.25),
        ToolCall(id="b", name="lookup", arguments="not json", error=f"no such page {ALL}", ran=False),
    )
    step = Step(
        index=0,
        observation="What is 6 * 7?",
        messages=(Message(role="system", content=f"system {ALL}"), Message(role="user", content="What is 6 * 7?")),
        completion="It is forty-two.",
        action=f"submit 42 {ALL}",
        validity="no_effect",
        tool_calls=calls,
        rounds=(Round(completion="I compute it first.", calls=("a",)),),
        recalled=("item-one", "item-two"),
        reward=1.0,
        terminated=True,
        model="a-model",
        model_seconds=1.5,
        usage=Usage(prompt_tokens=1200, completion_tokens=34, cost_usd=0.0125),
    )
    return Trajectory(
        id="busy",
        run_id="",
        task=Task(id="hostile/busy", goal="a busy goal", environment="hostile", category="busy"),
        steps=(step,),
        final_observation="Right.",
        verdict=Verdict(passed=True, score=0.75, critique=f"well done {ALL}", judge="a judge"),
        stop="terminated",
        reward=1.0,
        success=True,
        usage=step.usage,
        started_at=1.0,
    )


def lost():
    return Trajectory(
        id="lost",
        run_id="",
        task=Task(id="hostile/lost", goal="a lost goal", environment="hostile", category="busy"),
        stop="infrastructure",
        failure=Failure(boundary="model", kind="timeout", message=f"the server did not answer {ALL}"),
        started_at=2.0,
    )


# The page in a browser.


def test_plots_are_drawn(browser, pages):
    folder, data = pages
    visit(browser, folder / "one.html")
    drawn = find(browser, "svg.plot")
    assert [one.get_attribute("id") for one in drawn] == ["p-success", "p-curve", "p-steps", "p-returns"]
    for one in drawn:
        assert one.rect["width"] > 300 and one.rect["height"] > 100
        named = [find(browser, f"#{ident}")[0] for ident in one.get_attribute("aria-labelledby").split()]
        assert all(name.get_attribute("textContent") for name in named)
    categories = data["one"].runs[0].categories
    bars = find(browser, "#p-success .bar:not(.total)")
    assert [bar.get_attribute("data-group") for bar in bars] == list(categories) and len(bars) == 6
    assert all(bar.rect["width"] > 0 and bar.rect["height"] > 5 for bar in bars)
    # A bar's length is its value: 100 % is where the last tick is.
    [total] = find(browser, "#p-success .bar.total")
    scale = find(browser, "#p-success")[0].rect["width"] / svg.WIDTH
    whole = (svg.WIDTH - 74 - 1) * scale
    assert total.rect["width"] == pytest.approx(max(scale, whole * data["one"].runs[0].total.success.value), abs=1.5)
    for css in ("#p-curve .curve", "#p-curve .band", "#p-steps .bin", "#p-returns .curve"):
        assert all(one.rect["width"] > 0 for one in find(browser, css)) and find(browser, css), css


def test_a_trajectory_opens_and_shows_its_steps(browser, pages, runs):
    folder, _ = pages
    visit(browser, folder / "one.html")
    with Store.open(runs[0].store_path) as store:
        found = {one.id: one for one in store.trajectories()}
    rows = find(browser, ".row")
    assert len(rows) == len(found) == 24
    rows[5].click()
    one = found[rows[5].get_attribute("data-id")]
    assert rows[5].get_attribute("aria-current") == "true"
    steps = shown(browser, "#detail .step")
    assert len(steps) == len(one.steps)
    for step, element in zip(one.steps, steps, strict=True):
        assert step.observation.split("\n")[0] in element.text and step.action in element.text
    assert one.task.goal in find(browser, "#detail h3")[0].text
    # The prompt is there on demand, as it was sent.
    last = steps[-1].find_element("css selector", "details")
    assert one.steps[-1].messages[0].content not in steps[-1].text
    last.find_element("css selector", "summary").click()
    said = [part.text for part in last.find_elements("css selector", ".message .said")]
    assert said == [message.content for message in one.steps[-1].messages]
    # And a link goes straight to it.
    address = browser.current_url
    browser.get("about:blank")
    browser.get(address)
    assert len(shown(browser, "#detail .step")) == len(one.steps)


def test_filters(browser, pages):
    folder, data = pages
    visit(browser, folder / "one.html")

    def rows():
        return len(shown(browser, "#list li"))

    def choose(ident, value):
        browser.execute_script(
            "const e = document.getElementById(arguments[0]); e.value = arguments[1];"
            "e.dispatchEvent(new Event('change'))",
            ident,
            value,
        )

    page = data["one"]
    everything = rows()
    assert 0 < page.shown["solved"] < everything == 24
    choose("f-outcome", "solved")
    assert rows() == page.shown["solved"]
    assert f"{page.shown['solved']} of 24 trajectories" in find(browser, "#count")[0].text
    choose("f-outcome", "")
    choose("f-category", "pick_and_place_simple")
    assert rows() == 4
    choose("f-category", "")
    find(browser, "body")[0].send_keys("/")
    box = browser.switch_to.active_element
    assert box.get_attribute("id") == "q"
    box.send_keys("no-such-word-anywhere\n")
    assert rows() == 0
    box.clear()
    records = [json.loads(one) for one in page.records]
    wanted = "drawer"

    def held(one):
        numbers = [one["goal"], one["final"]] + [s[k] for s in one["steps"] for k in ("observation", "action")]
        return any(wanted in str(page.texts[n]).lower() for n in numbers) or wanted in one["task"]

    box.send_keys(wanted + "\n")
    assert rows() == sum(map(held, records)) > 0
    assert not find(browser, "#l-run")[0].is_displayed()


def test_keys_alone_are_enough(browser, pages):
    from selenium.webdriver.common.keys import Keys

    folder, _ = pages
    visit(browser, folder / "one.html")
    find(browser, "body")[0].send_keys("/")
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    row = browser.switch_to.active_element
    assert row == find(browser, ".row")[1]
    row.send_keys(Keys.ENTER)
    assert shown(browser, "#detail .step")
    assert browser.switch_to.active_element.get_attribute("id") == "detail"
    browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert browser.switch_to.active_element == row


def test_nothing_is_asked_of_any_network(browser, pages, hostile, tmp_path):
    folder, _ = pages
    for file in (folder / "one.html", folder / "two.html", hostile):
        asked, console = visit(browser, file)
        for row in find(browser, ".row")[:4]:
            row.click()
        asked += requests(browser)
        assert {url for url in asked if not url.startswith("data:")} == {file.as_uri()}
        assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
        assert console == [] and browser.get_log("browser") == []
    # The log would have shown one.
    other = tmp_path / "other.html"
    other.write_text("<img src='http://127.0.0.1:9/x.png'>")
    asked, console = visit(browser, other)
    assert "http://127.0.0.1:9/x.png" in asked and console
    # And were there one on the page, its policy would stop it, a script of its own as well.
    visit(browser, hostile)
    blocked = browser.execute_async_script(
        "const told = arguments[0], seen = [];"
        "document.addEventListener('securitypolicyviolation', (e) => {"
        "  seen.push(e.effectiveDirective); if (seen.length === 3) told(seen) });"
        "new Image().src = 'http://127.0.0.1:9/x.png'; fetch('http://127.0.0.1:9/').catch(() => 0);"
        "const s = document.createElement('script'); s.textContent = 'window.hacked = 9'; document.body.append(s);"
    )
    assert sorted(blocked) == ["connect-src", "img-src", "script-src-elem"]
    assert browser.execute_script("return window.hacked") is None


def test_hostile_text_is_text(browser, hostile):
    visit(browser, hostile)
    assert len(find(browser, "script")) == 2 and not find(browser, "img, iframe, object, embed")
    rows = find(browser, ".row")
    assert len(rows) == len(BREAKOUTS) + 2
    words = visible(ALL)
    for row in rows:
        row.click()
        unfold(browser)
        text = find(browser, "#detail")[0].get_property("textContent")
        assert words in text
    assert browser.execute_script("return window.hacked") is None
    assert len(find(browser, "script")) == 2 and not find(browser, "img, iframe, object, embed, #detail svg")
    names = {bar.get_attribute("data-group") for bar in find(browser, "#p-success .bar:not(.total)")}
    kinds = [" ".join(f"kind {text}".split()) for text in BREAKOUTS]
    assert len(names) == len(kinds) + 1 and any("</script><script>window.hacked = 1</script>" in name for name in names)


def unfold(browser):
    """Open everything that is folded in what is read."""
    browser.execute_script("for (const one of document.querySelectorAll('#detail summary')) one.click()")


def test_tools_rounds_verdict_and_failures_are_read(browser, hostile):
    visit(browser, hostile)
    [row] = find(browser, ".row[data-id=busy]")
    row.click()
    text = find(browser, "#detail")[0].text
    order = [
        "What is 6 * 7?",
        "I compute it first.",
        "no such page",
        "It is forty-two.",
        "submit 42",
        "Right.",
        "well done",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)
    for part in ("no effect", "reward +1", "1,200 + 34 tokens", "0.0125 USD", "model 1.5 s", "not run", "250 ms"):
        assert part in text
    assert "judged by a judge: passed" in text and "score 0.75" in text
    recalled = next(one for one in find(browser, "#detail summary") if one.text == "2 recalled")
    recalled.click()
    assert [one.text for one in find(browser, "#detail .ids li")] == ["item-one", "item-two"]
    [row] = find(browser, ".row[data-id=lost]")
    row.click()
    assert "model: timeout" in find(browser, "#detail")[0].text
    # Infrastructure is told apart: no bar and no rate counts it.
    assert "1 of 10 attempts failed by infrastructure (model 1)" in find(browser, "#facts")[0].text
    assert "no verdict, since 1 of 10 episodes have no outcome" in find(browser, ".top")[0].text
    assert find(browser, ".key b")[0].text.startswith("100.0 %")


def test_two_runs_are_compared(browser, pages, runs):
    folder, data = pages
    visit(browser, folder / "two.html")
    one, two = (Played.read(run) for run in runs)
    found = compare([one.side("random"), two.side("first")])
    [pair] = found.pairs
    dots = find(browser, "#p-versus-1 .dot")
    assert len(dots) == len(find(browser, "#p-versus-1 .span")) == 7
    assert pair.sentence() in find(browser, ".verdict")[0].text
    shares = [f"{100 * mean:.1f} %" for mean in (pair.first_mean, pair.second_mean)]
    last = find(browser, "#comparison tr.total td")
    assert [cell.text for cell in last[1:3]] == shares and last[-1].text == pair.verdict
    assert len(find(browser, "#p-success .bar:not(.total)")) == 12
    assert "model.name" in find(browser, "#comparison")[0].text
    assert len(find(browser, ".run .brief")) == 2 and one.evaluation.id[:12] in find(browser, ".brief")[0].text
    # mean@k, pass@k: two samples of each task.
    assert "pass@k" in find(browser, "#results")[0].text
    # The same task in the other run is one click away.
    find(browser, ".row")[0].click()
    before = find(browser, "#detail h3")[0].text, find(browser, "#detail .badge")[2].text
    find(browser, "#detail button.link")[0].click()
    assert find(browser, "#detail h3")[0].text == before[0]
    browser.execute_script(
        "const e = document.getElementById('f-run'); e.value = '1'; e.dispatchEvent(new Event('change'))"
    )
    assert len(shown(browser, "#list li")) == data["two"].runs[1].outcomes.total() == 24


def test_narrow_dark_and_printed(browser, pages):
    folder, _ = pages
    visit(browser, folder / "two.html")
    paper = "return getComputedStyle(document.body).backgroundColor"
    light = browser.execute_script(paper)
    try:
        narrow = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": True}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", narrow)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
        assert all(one.rect["width"] > 280 for one in find(browser, "svg.plot"))
        dark = [{"name": "prefers-color-scheme", "value": "dark"}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
        assert browser.execute_script(paper) != light
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
        assert not find(browser, "#list")[0].is_displayed() and find(browser, "#p-success")[0].is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


# Its parts.


def test_facts_stand_on_the_page(pages, runs):
    _, data = pages
    html, one = render(data["one"]), Played.read(runs[0])
    told = [
        one.evaluation.id,
        one.release.id,
        one.evaluation.split_hash,
        "tasks 0, sampling 0",
        "95 %",
        "The tasks of household are made from a seed",
        f"lamarck {one.evaluation.version}",
        escaped(f"lamarck eval --again {runs[0].path} --out NEW"),
    ]
    assert [part for part in told if part not in html] == []
    assert html.count("</script>") == 2 and "http" not in html.replace("http-equiv", "").split('id="data"')[0]


def test_json_in_a_script_element_stays_there():
    value = {"a": [*BREAKOUTS, "\ud800", "\x85"], "b": math.nan, "c": [math.inf, 1.5]}
    text = script_json(value | {"a": [visible(one) for one in value["a"]]})
    assert not set("<>&\u2028\u2029") & set(text) and all(ord(c) >= 32 for c in text)
    back = json.loads(text)
    assert back["a"][0] == BREAKOUTS[0] and back["b"] is None and back["c"] == [None, 1.5]
    assert visible("a\tb\r\nc\x07\x7f\u202e\ud800") == "a\tb\nc\u2407\u2421⟨U+202E⟩⟨U+D800⟩"
    text.encode()


def test_texts_are_kept_once_clipped_and_taken_back():
    texts = Texts()
    assert [texts.add("abc", 10), texts.add("abcdef", 4), texts.add("abc", 99), texts.add("abcdef", 4)] == [0, 1, 0, 1]
    assert texts.entries == ["abc", ["abcd", 6]] and texts.chars == 7
    mark = texts.mark()
    texts.add("more", 10)
    texts.back_to(mark)
    assert texts.chars == 7 and texts.add("other", 10) == 2 and texts.add("abc", 10) == 0


def test_long_trajectories_are_clipped_and_say_so(browser, tmp_path):
    steps = tuple(Step(index=n, observation=f"{n} " + "x" * 9000, action="go on") for n in range(520))
    made = record(busy().model_copy(update={"steps": steps}), 0, Texts(), ROOMS[0])
    assert len(made["steps"]) == 500 and made["length"] == 520
    assert [made["steps"][399]["index"], made["steps"][400]["index"]] == [399, 420]
    walk = {"taskset.name": "worlds:Walks", "taskset.limit": 1, "model.name": "first", "solver.max_steps": 2}
    directory = played(tmp_path / "run", **walk)
    add(directory, busy().model_copy(update={"steps": steps, "id": "long"}))
    page = gather([directory], budget=400_000)
    write(page, tmp_path / "page.html")
    assert (tmp_path / "page.html").stat().st_size < 600_000 and len(page.records) == 2
    visit(browser, tmp_path / "page.html")
    find(browser, ".row[data-id=long]")[0].click()
    text = find(browser, "#detail")[0].text
    assert "20 of 520 steps are left out here" in text
    assert "characters" in text and "of 9,002 characters" in text
    # Where even that is too much, whole trajectories are left out, and the page says how many.
    small = gather([directory], budget=8_000)
    assert small.dropped == 1 and len(small.records) == 1
    assert "1 of 2 trajectories are on this page" in render(small) and "would be too large: 1." in render(small)


def header(ident, task, success, **more):
    outcome = {"success": success, "stop": "terminated", **more}
    return Trajectory(id=ident, run_id="r", task=Task(id=task, goal="", environment="e"), **outcome)


def test_trajectories_are_picked_evenly():
    found = [header(f"s{n}", f"s{n}", True) for n in range(90)] + [header(f"f{n}", f"f{n}", False) for n in range(6)]
    down = Failure(boundary="model", kind="x", message="y")
    found += [header("i", "s0", None, stop="infrastructure", failure=down)]
    chosen = [ident for _, ident in pick([found], 11)]
    assert Counter(ident[0] for ident in chosen) == {"s": 5, "f": 5, "i": 1}
    # Spread over the order: first, middle, quarters.
    assert [ident for ident in chosen if ident[0] == "s"] == ["s0", "s64", "s32", "s16", "s80"]
    assert len(pick([found], 500)) == 97 and pick([found], 0) == []
    assert sorted(n for [(n, _)] in spread([(n, None)] for n in range(7))) == list(range(7))


def test_what_only_one_run_solved_is_shown_as_often():
    one = [header(f"a{n}", f"t{n}", n < 50) for n in range(100)]
    two = [header(f"b{n}", f"t{n}", n < 52) for n in range(100)]
    chosen = pick([one, two], 12)
    assert chosen[0][1][1:] == chosen[1][1][1:] and len(chosen) == 12
    only_two = [ident for run, ident in chosen if run == 1 and ident in ("b50", "b51")]
    assert len(only_two) == 2


def test_ticks_and_bins_by_hand():
    assert svg.ticks(0, 1, 4) == [0.0, 0.5, 1.0] and svg.ticks(0, 0.07, 4) == pytest.approx([0, 0.02, 0.04, 0.06, 0.08])
    assert svg.ticks(-0.3, 0.3, 6) == pytest.approx([-0.3, -0.2, -0.1, 0, 0.1, 0.2, 0.3])
    assert plots.bins([3, 5, 4]) == [3, 4, 5, 6] and plots.bins([]) == [0, 1] and plots.bins([7]) == [7, 8]
    assert plots.bins([0, 100]) == [float(n) for n in range(0, 106, 5)]
    drawn = plots.histogram("h", "t", "d", {0: [1, 1, 3], 1: [3]}, names=("x", "y"), classes=["a", "b"], stacked=True)
    assert [drawn.count(part) for part in ("1: 2 episodes", "3: 1 episodes", 'class="bin a"', 'class="bin b"')] == [
        1,
        2,
        2,
        1,
    ]
    assert svg.node("a", "<b/>", x=1.50, class_="<&>", gone=None, data_x="'") == (
        '<a x="1.5" class="&lt;&amp;&gt;" data-x="&#x27;"><b/></a>'
    )
    assert svg.shortened("x" * 100, 80) == "x" * 9 + "…"


def test_no_outcome_at_all_is_still_a_page(tmp_path):
    directory = RunDirectory(tmp_path / "run")
    directory.create(RunConfig.load(None, {"taskset.name": "worlds:Walks"}), resume=False)
    add(directory, lost())
    page = gather([directory])
    assert page.shown == {"infrastructure": 1} and "no verdict" in page.runs[0].warning
    html = render(page)
    assert "NaN" not in html and "nan" not in html.split('id="data"')[0].split("</style>")[1]
    json.dumps(page.as_dict())


def test_the_command(runs, tmp_path):
    random, first = (run.path for run in runs)
    out = tmp_path / "deep" / "page.html"
    told = json.loads(lamarck("report", random, first, "--out", out, "--trajectories", 6, "--json").stdout)
    assert told["file"] == str(out) and told["bytes"] == out.stat().st_size
    assert [run["label"] for run in told["runs"]] == ["random", "first"] and told["trajectories"]["shown"] == 6
    assert told["comparisons"][0]["second"] == "first" and told["comparisons"][0]["tasks"] == 12
    html = out.read_text()
    assert html.startswith("<!doctype html>") and "6 of 48 trajectories are on this page" in html


def test_wrong_requests_get_one_line(runs, tmp_path):
    path = runs[0].path
    assert "there is no run in" in complaint("report", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"are the same run\. Name each run once"):
        gather([runs[0], RunDirectory(path / ".." / path.name)])
    with pytest.raises(ConfigError, match=r"cannot write .*Name another file by --out"):
        write(gather(runs[:1], trajectories=0), path)
    other = played(tmp_path / "other", **{"taskset.name": "worlds:Walks", "model.name": "first", "solver.max_steps": 2})
    with pytest.raises(ConfigError, match="share a taskset and split"):
        gather([runs[0], other])
