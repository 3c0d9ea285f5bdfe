"""A headless browser for the tests, and what it asked the network for."""

import contextlib
import json
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.service import Service


@contextlib.contextmanager
def chromium():
    """Start the browser; it costs seconds, so once per module."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for switch in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        "disable-background-networking",
        "no-first-run",
        "window-size=1200,900",
    ):
        options.add_argument(f"--{switch}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def visit(browser, path):
    """Open a file from a clean slate and return the addresses it asked for and the lines on its console."""
    browser.get("about:blank")
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(path.as_uri())
    return requests(browser), [line["message"] for line in browser.get_log("browser")]


def requests(browser):
    """Return the addresses asked for since the last look."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


def find(browser, css):
    return browser.find_elements("css selector", css)


def shown(browser, css):
    return [one for one in find(browser, css) if one.is_displayed()]
