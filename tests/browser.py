"""A real browser for the tests of pages: Debian's Chromium, without a window, driven through
selenium.

`chromium(folder)` gives a driver; where Chromium, its driver or selenium is missing, the test that
asks for one is skipped.
"""

import json
import shutil
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
)


def missing():
    """What a browser needs and is not installed, in words; "" if all is there."""
    absent = [program for program in ("chromium", "chromedriver") if not shutil.which(program)]
    return " and ".join(absent + ["selenium"] * (find_spec("selenium") is None))


@contextmanager
def chromium(folder, width=1400, height=900):
    """A driver, its profile in ``folder``, that keeps the console and the network's log; closed at
    the end."""
    if missing():
        pytest.skip(f"needs {missing()}")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (
        *FLAGS,
        f"--window-size={width},{height}",
        f"--user-data-dir={Path(folder) / 'profile'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(
        options=options,
        service=webdriver.ChromeService(executable_path=shutil.which("chromedriver")),
    )
    try:
        yield opened
    finally:
        opened.quit()


def visit(driver, path, fragment=""):
    """Opens a page from disk, and waits until its script has run; what was logged before is
    forgotten."""
    driver.get_log("browser")
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get(Path(path).resolve().as_uri() + fragment)
    wait_until(driver, "return document.documentElement.dataset.ready === 'true'")


def wait_until(driver, script, seconds=5):
    """Waits until a script returns something true, and returns that."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, poll_frequency=0.02).until(
        lambda driver: driver.execute_script(script)
    )


def console(driver):
    """What the page wrote to the console since the last call, warnings and errors of the browser
    included."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver):
    """The addresses that the page asked for since it was opened, itself included; data: is no
    request."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and not event["params"]["request"]["url"].startswith("data:")
    ]
