"""A real browser for the tests of pages: headless Chromium, driven through selenium.

`chromium(folder)` returns a driver. Tests that need one are skipped if Chromium, its driver or
selenium is missing.
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
    """Says what a browser needs and is not installed; "" if everything is."""
    absent = [program for program in ("chromium", "chromedriver") if not shutil.which(program)]
    return " and ".join(absent + ["selenium"] * (find_spec("selenium") is None))


@contextmanager
def chromium(folder, width=1400, height=900):
    """Yields a driver that logs the console and the network, with its profile in ``folder``."""
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
    """Opens a page from disk, waits until its script has run, and clears the logs."""
    driver.get_log("browser")
    driver.get("about:blank")
    driver.get_log("performance")
    driver.get(Path(path).resolve().as_uri() + fragment)
    wait_until(driver, "return document.documentElement.dataset.ready === 'true'")


def wait_until(driver, script, seconds=5):
    """Waits until a script returns a true value, and returns it."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(driver, seconds, poll_frequency=0.02).until(
        lambda driver: driver.execute_script(script)
    )


def console(driver):
    """Returns what the page and the browser wrote to the console since the last call."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver):
    """Returns the addresses requested since the page was opened, including its own, without data:
    URLs."""
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    return [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
        and not event["params"]["request"]["url"].startswith("data:")
    ]
