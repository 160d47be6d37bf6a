"""The page of `tfrec explore` in a headless Chromium, on a run as small as one can be trained."""

import base64
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

HOSTILE = "<img src=x onerror=\"document.title='broken'\">"
PIXEL = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


CONTRASTS = """() => {
  const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
  const rgba = (css) => {  // any notation, as the browser paints it
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = css; canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3])).concat(1);
  const luminance = (colour) => colour.slice(0, 3)
    .map((v) => v / 255 <= .04045 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const texts = [];
  for (const root of document.querySelectorAll(".explore")) {
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement, chain = [];
      if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
      for (let at = element; at; at = at.parentElement) chain.unshift(getComputedStyle(at));
      let back = [255, 255, 255, 1];
      for (const style of chain) back = over(rgba(style.backgroundColor), back);
      const [bright, dim] = [luminance(over(rgba(getComputedStyle(element).color), back)), luminance(back)]
        .sort((a, b) => b - a);
      texts.push([(bright + .05) / (dim + .05), walker.currentNode.textContent]);
    }
  }
  return texts;
}"""
"""The contrast of every text of the explorer's own pieces with what is painted behind it."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory, tiny_encoder):
    """data, and a run of it under two names."""
    import tfrec
    from tfrec.config import RunConfig

    folder = tmp_path_factory.mktemp("shop")
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 12, 30)
    rows = [
        (f"u{u}", f"i{(s + 2 * step) % 12}", 10**9 + 60 * step + u) for u, s in enumerate(starts) for step in range(6)
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    colours = ["red", "green", "blue"]
    titles = [f"{colours[i % 3]} shoe *{i}*" for i in range(11)] + [HOSTILE]
    covers = [PIXEL] * 4 + ["shoe.gif"] * 3 + ["https://shop.example/shoe.gif"] * 3 + [None] * 2
    columns = {"title": titles, "colour": colours * 4, "cover": covers}
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(12)], **columns})
    (folder / "shoe.gif").write_bytes(base64.b64decode(PIXEL.partition(",")[2]))
    data = tfrec.prepare(events, items, folder / "data", split="leave-one-out")
    options = ["training.epochs=1", "training.batch_size=16", "model.dim=8", "model.heads=2", "model.neighbours=3"]
    config = RunConfig().with_values([*options, f"encoder.name={tiny_encoder}"])
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
def browser(address):
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(browser, address, width=1280, height=900, theme="light"):
    """A page of the explorer; `page.asked` are the addresses that it asked for."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.set_default_timeout(60_000)
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(address)
    page.get_by_text("No history yet").wait_for()
    return page


@pytest.fixture(scope="module")
def page(browser, address):
    """One visit, whose tests go on from each other."""
    return opened(browser, address, height=1600)  # the whole sidebar: a menu closes when it is scrolled


def type_in(page, label, text):
    page.get_by_label(label).fill(text)
    page.get_by_label(label).press("Enter")


def add(page, words, title):
    type_in(page, "Search items", words)
    page.get_by_role("button", name=f"Add {title}").click()
    page.get_by_role("button", name=f"Remove {title}").wait_for()


def test_a_history_is_put_together_and_explained(page):
    add(page, "blue 5", "blue shoe *5*")
    page.get_by_text("Because of blue shoe *5*").first.wait_for()
    page.get_by_text("1 event, the newest first").wait_for()
    assert page.locator(".timeline li").count() == 1


def test_the_bars_sum_to_the_score(page):
    card = page.locator(".card").first
    names = card.locator("dt").all_inner_texts()
    assert names == ["network", "memory by history", "memory by text", "repeats", "popularity"]
    parts = [float(text.replace("−", "-")) for text in card.locator(".amount").all_inner_texts()]
    assert sum(parts) == pytest.approx(float(card.locator(".total span").last.inner_text()), abs=0.003)


def test_cards_have_the_pictures_of_the_catalogue_or_initials(page):
    sources = {}
    for card in page.locator(".card").all():
        image = card.locator("img")
        sources[card.locator(".title").inner_text()] = image.get_attribute("src") if image.count() else None
        assert len(card.locator(".tile").inner_text()) == 2
    found = {title.partition(". ")[2]: source for title, source in sources.items()}
    assert found["red shoe *3*"] == PIXEL and found["green shoe *4*"] == PIXEL  # a data URI; a file that holds the same
    assert found["green shoe *7*"] is None and found[HOSTILE] is None  # on the web; none


def test_a_title_with_markup_is_text_everywhere(page):
    add(page, "i11", HOSTILE)
    page.locator(".timeline .name").filter(has_text=HOSTILE).wait_for()
    for tab in ("Recommendations", "Map"):
        page.get_by_role("tab", name=tab).click()
        assert page.locator('img[src="x"]').count() == 0
    page.get_by_role("button", name=f"Remove {HOSTILE}").click()
    page.locator(".timeline .name").filter(has_text=HOSTILE).wait_for(state="detached")
    assert page.title() == "tfrec explore"  # what the markup would have changed


def test_the_map_says_the_title_of_what_is_pointed_at(page):
    page.get_by_role("tab", name="Map").click()
    assert page.locator(".plane .mark.past").count() == 1 and page.locator(".plane .mark.pick").count() == 10
    mark = page.locator(".plane .mark.past")
    said = "e => getComputedStyle(e, '::after').content"
    assert mark.evaluate(said) == "none"
    mark.focus()
    assert mark.evaluate(said) == '"history: blue shoe *5*"'  # the keyboard gets there too
    dot = page.locator(".plane .dot").first
    dot.hover(force=True)
    assert dot.evaluate(said).strip('"') == dot.get_attribute("data-title")


def test_the_list_answers_the_options(page):
    page.get_by_role("tab", name="Recommendations").click()
    page.get_by_role("combobox", name="Only colour").fill("green")
    page.get_by_role("option", name="green").click()
    page.keyboard.press("Escape")
    titles = page.get_by_role("tabpanel").first.locator(".card .title")
    titles.filter(has_text="red shoe").first.wait_for(state="detached")  # the old list may still be there, fading
    titles.filter(has_text="1. green shoe").wait_for()
    assert titles.filter(has_text="green").count() == titles.count() == 4


def test_a_new_item_has_neighbours_and_people(page):
    page.get_by_role("tab", name="A new item").click()
    type_in(page, "Text of a new item", "a red hat")
    page.get_by_text(", score ").first.wait_for()
    assert page.get_by_role("heading", name="Similar items").is_visible()


def test_two_versions_stand_side_by_side(page):
    page.get_by_role("tab", name="Two versions").click()
    page.get_by_text("100% of the items are in both lists").wait_for()  # the runs are one


def test_a_users_history_is_taken(page):
    page.get_by_role("tab", name="Recommendations").click()
    page.get_by_role("button", name="Clear the history").click()
    page.get_by_role("combobox", name="A user of the data").fill("u7")
    page.get_by_role("option", name="u7").click()
    page.get_by_role("button", name="Take this history").click()
    page.get_by_text("6 events, the newest first").wait_for()
    page.locator(".timeline li").nth(5).wait_for(state="attached")
    assert page.locator(".timeline li").count() == 6
    assert "09 Sep 2001" in page.locator(".timeline li").first.inner_text()


def test_pictures_of_the_web_are_fetched_only_when_asked_for(page, address):
    assert page.asked and all(url.startswith((address, "data:", "blob:")) for url in page.asked)
    page.route("https://shop.example/*", lambda route: route.abort())
    page.get_by_text("Load pictures from the web").click()
    page.locator('img[src^="https://shop.example/"]').first.wait_for(state="attached")


@pytest.mark.parametrize(
    "width, theme",
    [
        (1280, "light"),
        (390, "dark"),
        pytest.param(1280, "dark", marks=pytest.mark.nightly),
        pytest.param(390, "light", marks=pytest.mark.nightly),
    ],
)
def test_all_is_readable_and_nothing_runs_over(browser, address, width, theme):
    page = opened(browser, address, width, theme=theme)
    page.get_by_role("button", name="Take somebody's history").click()
    page.locator(".bars").first.wait_for()
    for tab in ("Recommendations", "Map", "Two versions"):
        page.get_by_role("tab", name=tab).click()
        page.locator(".explore").locator("visible=true").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        ratios = page.evaluate(CONTRASTS)
        assert len(ratios) > 10 and min(ratios)[0] >= 4.5, min(ratios)  # WCAG AA
        assert page.locator(".explore").first.evaluate("e => getComputedStyle(e).colorScheme") == theme
    page.close()


def test_wrong_arguments_are_said_before_a_page_opens(shop):
    code = "import sys; from tfrec.cli import main; sys.argv[0] = 'tfrec'; main()"
    command = [sys.executable, "-c", code, "explore", "--run", "nowhere", "--no-browser"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    found = subprocess.run(command, cwd=shop, env=environment, capture_output=True, text=True)
    assert found.returncode == 2 and "nowhere is not a run" in found.stderr
