"""A browser, and a materialized installation with its UI: made once for all tests of this folder."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from cry_pipeline_tests.corpus.audio_files import wav
from cry_pipeline_tests.ui.installed import Served, chromium, install, run, started
from cry_pipeline_tests.ui.looking import PATIENCE_MS
from cry_pipeline_tests.ui.small_site import TONE, SmallSite, opened, small_site


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Chromium, whose microphone hears a tone; where there is none, what needs it is skipped, saying so."""
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium: install it (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        # The sandbox needs rights that containers do not give; the pages are our own.
        heard = tmp_path_factory.mktemp("microphone") / "tone.wav"
        heard.write_bytes(wav(TONE, 48_000))
        microphone = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
        args = ["--no-sandbox", *microphone, f"--use-file-for-fake-audio-capture={heard}"]
        browser = playwright.chromium.launch(executable_path=path, args=args)
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


@pytest.fixture(scope="session")
def small(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallSite]:
    """A site to review and listen at; who judges takes a name of their own."""
    with small_site(tmp_path_factory.mktemp("small")) as small:
        yield small


@pytest.fixture
def visitor(browser: Browser, small: SmallSite) -> Iterator[Page]:
    """A page of a browser that has opened the link of the small site, and that complains of nothing."""
    faults: list[str] = []
    page = opened(browser, small, faults)
    yield page
    page.context.close()
    assert faults == []
