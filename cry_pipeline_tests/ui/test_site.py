"""The pages at a desk and on a phone, by day and by night: within the screen, and without a fault that axe sees."""

from collections.abc import Iterator
from itertools import product
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page

from cry_pipeline_tests.ui.installed import DETECTOR, Served
from cry_pipeline_tests.ui.looking import PATIENCE_MS, keep

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
        too_wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if too_wide > 0:
            found.append(f"{path}: {too_wide} px too wide")
        found += [f"{path}: {line}" for line in said_by_axe(page)]
        keep(page, f"site_{path.replace('/', '_').removesuffix('.html')}_{name}", full_page=True)
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
