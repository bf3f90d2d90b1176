"""A site of three recordings with `cry-pipeline serve` on it, and what a browser does with its pages.

Belongs here: making, serving and opening it. Does not: what is expected.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page

from cry_pipeline.catalog import load_catalog
from cry_pipeline.settings import Settings
from cry_pipeline_tests.processes import heed_ctrl_c
from cry_pipeline_tests.serving.sites import Site, draw_all, make_site, promoted, store_features
from cry_pipeline_tests.ui.installed import COMMAND, ended, environment
from cry_pipeline_tests.ui.looking import PATIENCE_MS

REFUSED = "Failed to load resource: the server responded with a status of 4"
"""What Chromium notes of an answer that the page itself tells the person."""
TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(5 * 48_000) / 48_000)
"""What the browser's microphone hears, 5 s at 48 kHz, again and again."""


class SmallSite:
    """A site that is served: its recordings, the link that lets in, and the address without it."""

    def __init__(self, site: Site, link: str) -> None:
        self.site, self.link, self.address = site, link, link.partition("?")[0]


@contextmanager
def small_site(folder: Path) -> Iterator[SmallSite]:
    """Three recordings with features, which everybody is asked to judge, and a champion; served."""
    site = make_site(Settings(data=folder / "data"), folder / "corpus")
    draw_all(site)
    promoted(site.settings, "a" * 64)
    store_features(site, next(iter(load_catalog().feature_sets.values())), 90)
    process = subprocess.Popen(
        [COMMAND, "serve", "--port", "0"],
        env=environment(site.settings),
        stdout=subprocess.PIPE,
        preexec_fn=heed_ctrl_c,
    )
    assert process.stdout
    try:
        yield SmallSite(site, process.stdout.readline().decode().split()[-1])
    finally:
        ended(process)
        process.stdout.close()


def opened(browser: Browser, small: SmallSite, faults: list[str], **options: object) -> Page:
    """Return a page of a browser that has opened the link; ``faults`` gets what it complains of."""
    context: BrowserContext = browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()

    def note(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(REFUSED):
            faults.append(f"{page.url}: {message.text}")

    page.on("console", note)
    page.on("pageerror", lambda error: faults.append(f"{page.url}: {error}"))
    page.goto(small.link)
    assert page.url == small.address, "the token stays in no address"
    return page


def begin(page: Page, small: SmallSite, who: str) -> None:
    """Open the page review, say who judges, and wait for the first recording; with keys alone."""
    page.goto(f"{small.address}review")
    page.keyboard.type(who)
    page.keyboard.press("Enter")
    page.get_by_role("img").wait_for()


def hear(page: Page, seconds: float = 0.7) -> None:
    """Play the recording with the space bar, for so long."""
    page.keyboard.press("Space")
    page.wait_for_function(
        "least => { const p = document.getElementById('player'); return p.played.length && p.played.end(0) > least; }",
        arg=seconds,
    )
