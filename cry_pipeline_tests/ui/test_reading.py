"""What a reader does with the pages beside reading them: listen, search, sort, compare, go to the asset and back."""

import pytest
from playwright.sync_api import Page, expect

from cry_pipeline_tests.ui.installed import DETECTOR, NETWORK, Served
from cry_pipeline_tests.ui.looking import shoot

pytestmark = pytest.mark.ui

SECONDS_TO_PLAY = """player => new Promise((resolve, reject) => {
    player.onloadedmetadata = () => resolve(player.duration);
    player.onerror = () => reject(player.error.message);
    player.load();
})"""


def test_recordings_can_be_listened_to(page: Page, served: Served):
    page.goto(f"{served.site}/feature_sets.html")
    player = page.locator("audio").first
    expect(player).to_be_visible()
    assert 1 < player.evaluate(SECONDS_TO_PLAY) < 3  # the corpus is of clips that long


def test_leaderboard_is_searched_and_sorted(page: Page, served: Served):
    page.goto(f"{served.site}/leaderboard.html")
    rows = page.locator("table.experiments tbody tr").filter(visible=True)
    models = {experiment.model for experiment in served.catalog.experiments.values() if experiment.tier == "default"}
    assert rows.count() > len(models)
    page.get_by_role("searchbox").fill("svm")
    expect(rows).to_have_count(1)
    page.get_by_role("button", name="show all").click()

    table = page.locator("table.experiments").filter(has_text="svm_covariance")
    head = table.get_by_role("button", name="AUC", exact=True)
    figures = []
    for order in ("descending", "ascending"):
        head.click()
        expect(table.get_by_role("columnheader", name="AUC", exact=True)).to_have_attribute("aria-sort", order)
        figures.append([float(cell.split()[0]) for cell in table.locator("td[data-label=AUC]").all_inner_texts()])
    assert figures == [sorted(figures[0], reverse=True), sorted(figures[0])]
    assert len(figures[0]) == 2


def test_two_runs_are_compared(page: Page, served: Served):
    page.goto(f"{served.site}/compare.html")
    page.get_by_label("Recordings and folds").select_option(label=label_with(page, "group", "curation"))
    for place, experiment in (("first", DETECTOR), ("second", NETWORK)):
        page.locator(f"#{place}").select_option(
            label=label_with(page, place, served.catalog.experiments[experiment].model)
        )
    expect(page.locator("#result .outcome")).to_be_visible()
    expect(page.locator("#result table").first).to_be_visible()
    shoot(page, "comparison")


def test_experiment_leads_to_its_asset_and_back(page: Page, served: Served):
    experiment = f"{served.site}/experiments/{DETECTOR}.html"
    page.goto(experiment)
    page.get_by_role("link", name="its evidence").click()
    page.wait_for_url(f"{served.dagster.address}/assets/{served.key('evidence', DETECTOR)}*")
    with page.expect_popup() as opened:
        page.locator(f"a[href='{experiment}']").first.click()
    expect(opened.value.get_by_role("heading", level=1)).to_be_visible()
    assert opened.value.url == experiment


def label_with(page: Page, select: str, words: str) -> str:
    """Return the label of the first option of a selection that has ``words`` in it."""
    return next(label for label in page.locator(f"#{select} option").all_inner_texts() if words in label)
