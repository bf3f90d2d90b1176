"""The pages at a desk and on a phone, by day and by night: within the screen, and without a fault that axe sees."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

from cry_pipeline_tests.corpus.audio_files import wav
from cry_pipeline_tests.ui.installed import DETECTOR, Served
from cry_pipeline_tests.ui.looking import PATIENCE_MS, keep
from cry_pipeline_tests.ui.small_site import TONE, SmallSite, begin, opened

pytestmark = pytest.mark.ui

WIDTHS = {"desk": (1280, 900), "phone": (390, 844)}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


@pytest.fixture(params=product(WIDTHS, SCHEMES), ids="-".join)
def screen(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[str, Page, list[str]]]:
    """A screen: its name, a page of its size and colours, and what the page complained of or asked others for."""
    size, scheme = request.param
    width, height = WIDTHS[size]
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE_MS)
    page, faults = context.new_page(), []

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            faults.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    yield f"{size}_{scheme}", page, faults
    context.close()


def test_pages_fit_the_screen_and_axe_finds_nothing(screen: tuple[str, Page, list[str]], served: Served):
    name, page, faults = screen
    found = []
    for path in pages(served):
        page.goto(f"{served.site}/{path}")
        found += [f"{path}: {line}" for line in [*too_wide(page), *said_by_axe(page)]]
        keep(page, f"site_{path.replace('/', '_').removesuffix('.html')}_{name}", full_page=True)
    assert found == []
    assert faults == []


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", WIDTHS)
def test_review_and_listen_fit_the_screen_and_axe_finds_nothing(
    browser: Browser, small: SmallSite, tmp_path: Path, size: str, scheme: Literal["light", "dark"]
):
    width, height = WIDTHS[size]
    faults: list[str] = []
    page = opened(browser, small, faults, viewport={"width": width, "height": height}, color_scheme=scheme)
    found: list[str] = []

    def look(name: str) -> None:
        found.extend(f"{name}: {line}" for line in [*too_wide(page), *said_by_axe(page)])
        keep(page, f"{name}_{size}_{scheme}", full_page=True)

    page.goto(f"{small.address}review")
    look("review_name")
    begin(page, small, f"{size} {scheme}")
    page.get_by_text("Keys, and what to call what").click()
    look("review")
    for _ in range(3):
        left = page.locator("#counts").inner_text()
        page.keyboard.press("x")
        page.wait_for_function("left => document.getElementById('counts').textContent !== left", arg=left)
    look("review_nothing")
    page.goto(f"{small.address}listen")
    look("listen")
    (tmp_path / "long.wav").write_bytes(wav(np.tile(TONE, 6), 48_000))
    page.get_by_label("or choose a file").set_input_files(tmp_path / "long.wav")
    page.locator("#answer").wait_for()
    look("listen_answer")
    (tmp_path / "no.wav").write_bytes(b"no sound")
    page.get_by_label("or choose a file").set_input_files(tmp_path / "no.wav")
    page.get_by_role("alert").wait_for()
    look("listen_fault")
    page.context.clear_cookies()
    page.goto(f"{small.address}listen")
    look("no_link")
    page.context.close()
    assert found == []
    assert faults == []


def pages(served: Served) -> list[str]:
    """Return the paths of the pages below the site: all that are there, and of the experiments one."""
    reports = served.settings.reports
    paths = sorted(page.relative_to(reports).as_posix() for page in reports.glob("*.html"))
    assert "index.html" in paths
    assert len(paths) > 3
    return [*paths, f"experiments/{DETECTOR}.html"]


def said_by_axe(page: Page) -> list[str]:
    """Return what axe finds wrong with the page: rule and places."""
    violations = Axe().run(page).response["violations"]
    return [f"{violation['help']}: {[node['target'] for node in violation['nodes']]}" for violation in violations]


def too_wide(page: Page) -> list[str]:
    """Return by how much the page is wider than the screen, if it is."""
    pixels = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return [f"{pixels} px too wide"] if pixels > 0 else []
