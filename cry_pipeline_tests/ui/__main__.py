"""Take the README's pictures anew, of the installation that the settings name: `python -m cry_pipeline_tests.ui`.

Run `make run` on the real corpus before. Pictures of pages with recordings' names are not among them.
"""

from playwright.sync_api import Browser, sync_playwright

from cry_pipeline.settings import load_settings
from cry_pipeline_tests.ui.installed import DETECTOR, Served, chromium, free_port, started
from cry_pipeline_tests.ui.looking import PATIENCE_MS, ROOT, nodes, open_asset, settled

PICTURES = ROOT / ".github" / "readme"


def take_lineage(browser: Browser, served: Served) -> None:
    """Take what the detector's evidence is made of, as the Dagster UI shows it."""
    page = browser.new_page(viewport={"width": 1800, "height": 800})
    page.set_default_timeout(PATIENCE_MS)
    key = served.key("evidence", DETECTOR)
    open_asset(page, served.dagster.address, key, "lineage", "lineageScope=upstream&lineageDepth=5")
    nodes(page).first.wait_for()
    settled(page).screenshot(path=PICTURES / "lineage.png")


def take_leaderboard(browser: Browser, served: Served) -> None:
    """Take the leaderboard's figure as it is on the page."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto(f"{served.site}/leaderboard.html")
    page.locator("picture img").first.screenshot(path=PICTURES / "leaderboard.png")


def main() -> None:
    """Serve the installation, and take all pictures."""
    settings = load_settings().model_copy(update={"ui_port": free_port(), "site_port": free_port()})
    with started(settings) as served, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        take_lineage(browser, served)
        take_leaderboard(browser, served)


if __name__ == "__main__":
    main()
