"""A browser, and a materialized installation with its UI: made once for all tests of this folder."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cry_pipeline_tests.ui.installed import Served, chromium, install, run, started
from cry_pipeline_tests.ui.looking import PATIENCE_MS


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium; where there is none, what needs it is skipped, saying so."""
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium: install it (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # The sandbox needs rights that containers do not give; the pages are our own.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def served(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """An installation after `cry-pipeline run`, with `cry-pipeline ui` on it."""
    settings = install(tmp_path_factory.mktemp("ui"))
    run(settings.model_copy(update={"workers": 2}))  # whoever runs the tests waits for it; results are the same
    with started(settings) as served:
        yield served


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of a person at a desk."""
    context = browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(PATIENCE_MS)
    yield context.new_page()
    context.close()
