"""The shop in a browser: the session of the agents underneath, nothing unescaped, nothing from outside."""

import json
import re
import socket
from html import unescape
from html.parser import HTMLParser

import pytest
import typer
from lamarck.cli.shop import shop as command
from lamarck.errors import ConfigError
from lamarck.evals.webshop.session import Session
from lamarck.evals.webshop.site import LONGEST_FORM, VISITS, Site
from lamarck.evals.webshop.taskset import WebShopTaskset
from shell import complaint
from shops import ITEMS, small_shop, write_shop
from starlette.testclient import TestClient
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def taskset():
    return WebShopTaskset(products=40)


@pytest.fixture
def site(taskset):
    return Site(taskset.shop, taskset.goals)


@pytest.fixture
def browser(site):
    with TestClient(site.app(), base_url="http://localhost:8000") as client:
        yield client


class Tags(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self):
        super().__init__()
        self.names, self.attributes, self.links = set(), set(), set()

    def handle_starttag(self, tag, attrs):
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links |= {value for name, value in attrs if name in ("href", "src") or (name, tag) == ("action", "form")}


def buttons(page):
    return [unescape(value) for value in re.findall(r'name="action" value="([^"]*)"', page.text)]


def test_a_person_buys_what_an_agent_would(browser, taskset):
    goal = taskset.goals[4]
    page = browser.get("/goal/4")
    assert unescape(page.text).count(goal.instruction) == 2  # Ours, and what the agent reads.
    act = f"{page.url}/act"
    page = browser.post(act, data={"words": goal.product.name})
    agent = Session(taskset.shop, goal)
    agent.act(f"search[{goal.product.name}]")
    for action in (
        f"click[{goal.product.asin.lower()}]",
        "click[features]",
        "click[< prev]",
        *(f"click[{v}]" for v in goal.values),
    ):
        assert action in buttons(page)
        assert sorted(one[6:-1] for one in buttons(page)) == sorted(agent.clickables)
        page = browser.post(act, data={"action": action})
        agent.act(action)
    assert page.text.count('class="chosen"') == len(goal.options)
    page = browser.post(act, data={"action": "click[buy now]"})
    assert "Reward 1.000 of 1" in page.text and f"<td>{len(goal.attributes)} of {len(goal.attributes)}<" in page.text
    assert 'href="/goal/5"' in page.text and not buttons(page)


def test_what_does_nothing_is_said_and_changes_nothing(browser):
    page = browser.get("/")
    act = f"{page.url}/act"
    for action in ("click[buy now]", "click[search]", "dance", "search[]"):
        page = browser.post(act, data={"action": action})
        assert f"Nothing happens here at: {action}" in unescape(page.text)
    assert "0 actions so far" in page.text
    assert "Nothing happens" in browser.post(act, data={"words": "   "}).text


def test_shoppers_do_not_see_each_other(browser):
    one, other = browser.get("/goal/0"), browser.get("/goal/0")
    assert one.url != other.url
    browser.post(f"{one.url}/act", data={"words": "lamp"})
    assert "Total results" in browser.get(one.url).text and "Total results" not in browser.get(other.url).text


def test_the_shopper_who_was_away_longest_is_forgotten(browser, site):
    first, second = browser.get("/"), browser.get("/")
    browser.get(first.url)
    for _ in range(VISITS - 1):
        browser.get("/goal/1", follow_redirects=False)
    assert len(site) == VISITS
    assert browser.get(first.url).status_code == 200
    lost = browser.get(second.url)
    assert lost.status_code == 404 and "not known any more" in lost.text
    assert browser.post(f"{second.url}/act", data={"words": "x"}).status_code == 404


def test_texts_are_escaped_and_nothing_comes_from_outside(tmp_path):
    shop = small_shop(tmp_path)
    goals = shop.goals("synthetic")
    with TestClient(Site(shop, goals).app(), base_url="http://127.0.0.1") as browser:
        page = browser.get("/")
        act = f"{page.url}/act"
        pages = [page, browser.post(act, data={"words": '"><script>alert(1)</script> odd mug'})]
        pages.append(browser.post(act, data={"action": "click[b000000004]"}))
        pages.append(browser.post(act, data={"action": 'click[the "best"]'}))
        pages.append(browser.post(act, data={"action": "<img src=x onerror=alert(1)>"}))
    assert 'class="chosen">the &quot;best&quot;<' in pages[3].text
    for page in pages:
        assert page.status_code == 200
        tags = Tags()
        tags.feed(page.text)
        assert tags.names <= {
            "html", "head", "meta", "title", "link", "body", "p", "form", "input", "button", "div", "h2", "details",
            "summary", "pre",
        }  # fmt: skip
        assert tags.attributes <= {
            "lang", "charset", "rel", "href", "name", "content", "class", "method", "action", "aria-label", "maxlength",
            "value",
        }  # fmt: skip
        assert tags.links and all(re.fullmatch(r"/[\w/.-]+", link) and "//" not in link for link in tags.links)
        assert "default-src 'none'" in page.headers["content-security-policy"]


def test_products_called_like_the_frame_are_shown(tmp_path):
    files = write_shop(tmp_path)
    rows = [ITEMS[0] | {"name": "Search"}, *ITEMS[1:]]
    (files / "items_shuffle_1000.json").write_text(json.dumps(rows), encoding="utf-8")
    taskset = WebShopTaskset(str(files))
    with TestClient(Site(taskset.shop, taskset.goals).app(), base_url="http://localhost") as browser:
        page = browser.get("/")
        assert buttons(page) == []  # the search box is the only thing to do
        act = f"{page.url}/act"
        browser.post(act, data={"words": "search"})
        assert "<h2>Search</h2>" in browser.post(act, data={"action": "click[b000000001]"}).text


def test_other_hosts_goals_and_long_forms_are_refused(browser, taskset):
    assert browser.get("/", headers={"host": "elsewhere.example"}).status_code == 400
    assert browser.get(f"/goal/{len(taskset.goals)}").status_code == 404
    assert browser.get("/visit/unknown").status_code == 404
    page = browser.get("/")
    assert browser.post(f"{page.url}/act", data={"words": "x" * LONGEST_FORM}).status_code == 413
    assert browser.get(f"{page.url}/act").status_code == 405
    assert browser.get("/style.css").headers["content-type"].startswith("text/css")


def test_the_command_names_a_goal_or_data_that_is_not_there(tmp_path):
    app = typer.Typer()
    app.command()(command)
    for arguments, message in (
        (["--goal", "99999"], "no goal 99999"),
        (["--goals", "odd"], "odd"),
        (["--data", str(tmp_path)], "there is no items_shuffle"),
    ):
        result = CliRunner().invoke(app, [*arguments, "--port", "1"])
        assert isinstance(result.exception, ConfigError) and message in str(result.exception)


def test_a_port_that_is_taken_is_one_line():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = complaint("env", "shop", "--limit", "20", "--port", taken.getsockname()[1])
    assert "the shop cannot be served at 127.0.0.1:" in said and "another port" in said
