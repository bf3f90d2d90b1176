"""What a person does at the pages of the Dagster UI, and pictures of what they saw.

Belongs here: clicks and pictures. Does not: what is expected.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Request, Route, expect

from cry_pipeline.orchestration.code_location import CODE_LOCATION

ROOT = Path(__file__).parents[2]
SCREENSHOTS = ROOT / ".screenshots"
PATIENCE_MS = 60_000
LAUNCH = "LaunchPipelineExecution"


def shoot(page: Page, name: str) -> None:
    """Keep a picture of a page of the Dagster UI, once it has settled, as ``.screenshots/<name>.png``."""
    keep(settled(page), name)


def keep(page: Page, name: str, **options: Any) -> None:
    """Keep a picture of the page as it is as ``.screenshots/<name>.png``, to be looked at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", animations="disabled", **options)


def settled(page: Page) -> Page:
    """Return the page once it has got all that it asked for."""
    page.wait_for_load_state("networkidle")
    expect(page.get_by_role("progressbar")).to_have_count(0, timeout=PATIENCE_MS)
    return page


def nodes(page: Page) -> Locator:
    """Return the boxes of the graph that is shown."""
    return page.locator("foreignObject")


def launched_by(page: Page, act: Callable[[], object]) -> str:
    """Return the id of the run that the page launches when one acts."""
    with page.expect_response(lambda response: _is_launch(response.request)) as answer:
        act()
    launched = answer.value.json()["data"]["launchPipelineExecution"]
    return launched["run"]["id"]


def asked_by(page: Page, act: Callable[[], object]) -> set[str]:
    """Return the assets that the page asks for when one acts; they are not launched."""

    def refuse(route: Route) -> None:
        if _is_launch(route.request):
            route.abort()
        else:
            route.continue_()

    page.route("**/graphql*", refuse)
    with page.expect_event("requestfailed", _is_launch) as request:
        act()
    page.unroute("**/graphql*", refuse)
    params = (request.value.post_data_json or {})["variables"]["executionParams"]
    return {"/".join(key["path"]) for key in params["selector"]["assetSelection"]}


def open_lineage(page: Page, address: str) -> Locator:
    """Open the graph of all assets; return its button `Materialize all`."""
    page.goto(f"{address}/asset-groups/")
    return _materialize_all(page)


def open_job(page: Page, address: str, job: str) -> Locator:
    """Open the page of a job; return its button `Materialize all`."""
    page.goto(f"{address}/locations/{CODE_LOCATION}/jobs/{job}")
    return _materialize_all(page)


def unsynced(page: Page, materialize_all: Locator) -> Locator:
    """Choose `Materialize unsynced` from the menu beside the button; return the dialog."""
    materialize_all.locator("xpath=following::button[1]").click()
    page.get_by_role("menuitem", name="Materialize unsynced").click()
    dialog = page.get_by_role("dialog").filter(has_text="Materialize unsynced assets")
    dialog.wait_for()
    return dialog


def reload_definitions(page: Page, address: str) -> None:
    """Click `Reload definitions`, as after an edit of the catalog."""
    open_lineage(page, address)
    with page.expect_response(lambda response: "Reload" in (response.request.post_data or "")):
        page.get_by_role("button", name="Reload definitions").click()


def open_asset(page: Page, address: str, key: str, view: str = "overview", how: str = "") -> None:
    """Open a tab of an asset's page, and wait for it."""
    page.goto(f"{address}/assets/{key}?view={view}&{how}")
    page.get_by_role("tab", name=re.compile(view, re.IGNORECASE)).wait_for()
    if view == "overview":
        page.get_by_text("Latest materialization").wait_for()


def materialize(page: Page) -> Locator:
    """Return the button that materializes the asset whose page is open."""
    return page.get_by_role("button", name=re.compile("Materialize$"))


def _materialize_all(page: Page) -> Locator:
    button = page.get_by_role("button", name="Materialize all")
    button.wait_for()
    return button


def _is_launch(request: Request) -> bool:
    return request.method == "POST" and LAUNCH in (request.post_data or "")
