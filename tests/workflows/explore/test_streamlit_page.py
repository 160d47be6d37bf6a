"""The page of `tfrec explore` in a headless Chromium, on a run as small as one can be trained."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def shop(tmp_path_factory, tiny_encoder):
    """data, and a run of it under two names."""
    import tfrec
    from tfrec.config import RunConfig

    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 12, 30)
    rows = [(f"u{u}", f"i{(s + 2 * step) % 12}", 60 * step + u) for u, s in enumerate(starts) for step in range(6)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    colours = ["red", "green", "blue"]
    titles = [f"{colours[i % 3]} shoe *{i}*" for i in range(12)]
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(12)], "title": titles, "colour": colours * 4})
    data = tfrec.prepare(events, items, folder / "data", split="leave-one-out")
    knobs = ["training.epochs=1", "training.batch_size=16", "model.dim=8", "model.heads=2", "model.neighbours=3"]
    config = RunConfig().with_values([*knobs, f"encoder.name={tiny_encoder}"])
    tfrec.train(data, folder / "a", config)
    shutil.copytree(folder / "a", folder / "b")
    return folder


@pytest.fixture(scope="module")
def address(shop):
    """Where `tfrec explore` shows the two runs."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on the path: apt-get install chromium")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = "import sys; from tfrec.cli import main; sys.argv[0] = 'tfrec'; main()"
    command = [sys.executable, "-c", code, "explore", "--run", "a", "--run", "b", "--data", "data", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    server = subprocess.Popen(
        [*command, "--port", str(port)],
        cwd=shop,
        env=environment,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=5).read()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, "the page did not start"
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(server.pid, 15)
        server.wait(20)


@pytest.fixture(scope="module")
def page(address):
    """The page, loaded; `page.asked` are the addresses that it asked for."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1200, "height": 1600})
        page.set_default_timeout(60_000)
        page.asked = []
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(address)
        page.get_by_text("No history yet").wait_for()
        yield page
        browser.close()


def type_in(page, label, text):
    page.get_by_label(label).fill(text)
    page.get_by_label(label).press("Enter")


def test_a_history_is_put_together_and_explained(page):
    type_in(page, "Search items", "blue 5")
    page.get_by_role("button", name="Add blue shoe *5*").click()
    page.get_by_text("Because of blue shoe *5*").first.wait_for()
    assert page.get_by_role("button", name="Remove blue shoe *5*").count() == 1
    page.get_by_text("1 events, oldest first").wait_for()


def test_the_list_answers_the_knobs(page):
    page.get_by_role("combobox", name="Only colour").click()
    page.get_by_role("option", name="green").click()
    page.keyboard.press("Escape")
    panel = page.get_by_role("tabpanel").first
    panel.get_by_text("1. green shoe").first.wait_for()  # the old list may still be there, fading
    panel.get_by_text(". red shoe").first.wait_for(state="detached")
    assert panel.get_by_text(". blue shoe").count() == 0 and panel.get_by_text(". green shoe").count() == 4


def test_a_new_item_has_neighbours_and_people(page):
    page.get_by_role("tab", name="A new item").click()
    type_in(page, "Text of a new item", "a red hat")
    page.get_by_text("would stand at place").first.wait_for()
    assert page.get_by_role("heading", name="Similar items").is_visible()


def test_two_versions_stand_side_by_side(page):
    page.get_by_role("tab", name="Two versions").click()
    page.get_by_text("100% of the items are in both lists").wait_for()  # the runs are one


def test_a_users_history_is_taken(page):
    page.get_by_role("button", name="Clear").first.click()
    page.get_by_role("combobox", name="A user of the data").fill("u7")
    page.get_by_role("option", name="u7").click()
    page.get_by_role("button", name="Take this history").click()
    page.get_by_text("6 events, oldest first").wait_for()


def test_nothing_outside_was_asked_for(page, address):
    assert page.asked and all(url.startswith((address, "data:", "blob:")) for url in page.asked)


def test_wrong_arguments_are_said_before_a_page_opens(shop):
    code = "import sys; from tfrec.cli import main; sys.argv[0] = 'tfrec'; main()"
    command = [sys.executable, "-c", code, "explore", "--run", "nowhere", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    found = subprocess.run(command, cwd=shop, env=environment, capture_output=True, text=True)
    assert found.returncode == 2 and "nowhere is not a run" in found.stderr
