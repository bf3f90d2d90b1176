"""The Dagster UI as a person meets it: from what `make run` made to a changed parameter, a stopped run, a donation.

What a page shows is seen in Chromium, what is so is asked of Dagster by GraphQL. The tests share an installation and
stand in the order in which a person would come by.
"""

import re
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from cry_pipeline.orchestration.code_location import CODE_LOCATION
from cry_pipeline.orchestration.jobs import EVERYTHING, INGEST
from cry_pipeline_tests.orchestration.test_automation import donate
from cry_pipeline_tests.processes import wait_until
from cry_pipeline_tests.ui.dagster_state import MINUTES
from cry_pipeline_tests.ui.installed import DETECTOR, NETWORK, Served
from cry_pipeline_tests.ui.looking import (
    asked_by,
    launched_by,
    materialize,
    nodes,
    open_asset,
    open_job,
    open_lineage,
    reload_definitions,
    shoot,
    unsynced,
)

pytestmark = pytest.mark.ui

CHANGED = "features/babycare_22k"
EPOCHS = 80
"""So many that a fold of the small network takes seconds, and a run can be stopped between two."""


def test_what_make_run_did_is_seen(page: Page, served: Served):
    (run,) = served.dagster.runs()
    assert (run.job, run.status, run.location) == (EVERYTHING, "SUCCESS", CODE_LOCATION)
    page.goto(served.dagster.address)
    expect(page.get_by_text("No runs")).to_have_count(0)
    expect(page.get_by_role("link", name=EVERYTHING).first).to_be_visible()
    shoot(page, "start")


def test_lineage_shows_all_of_the_default_tier_and_it_is_fresh(page: Page, served: Served):
    assert served.dagster.stale() == set()
    assert served.of_study() & served.dagster.assets().keys() == set()
    open_asset(
        page,
        served.dagster.address,
        served.key("evidence", DETECTOR),
        "lineage",
        "lineageScope=upstream&lineageDepth=3",
    )
    for name in ("svm_covariance", "curation_donor_hashed", "mel64_8k", "recordings"):  # whole: what differs is last
        expect(nodes(page).filter(has_text=name).first).to_be_visible()
    shoot(page, "lineage")


def test_page_of_evidence_shows_the_verdict_and_its_plots(page: Page, served: Served):
    key = served.key("evidence", DETECTOR)
    page.set_viewport_size({"width": 1600, "height": 1500})
    open_asset(page, served.dagster.address, key)
    expect(page.get_by_text(served.dagster.assets()[key].metadata["verdict"]).first).to_be_visible()
    shoot(page, "evidence")
    page.get_by_role("row").filter(has_text="ROC").get_by_text("Show Markdown").click()
    plot = page.get_by_role("dialog").locator("img[src^='data:image/png']")
    expect(plot).to_be_visible()
    assert plot.evaluate("plot => plot.naturalWidth") > 0
    shoot(page, "plot")


def test_checks_have_passed_and_are_shown(page: Page, served: Served):
    checks = {name: status for asset in served.dagster.assets().values() for name, status in asset.checks.items()}
    assert set(checks.values()) == {"SUCCEEDED"}
    open_asset(page, served.dagster.address, "features/mel64_8k", "checks")
    for name in served.dagster.assets()["features/mel64_8k"].checks:
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text("Passed").first).to_be_visible()
    shoot(page, "checks")


def test_materialize_all_and_the_main_job_ask_for_the_default_tier_and_nothing_else(page: Page, served: Served):
    everything = served.dagster.assets().keys()
    address = served.dagster.address
    for name, open_page in (("lineage", open_lineage), (EVERYTHING, partial(open_job, job=EVERYTHING))):
        button = open_page(page, address)
        shoot(page, f"materialize_all_{name}")
        assert asked_by(page, button.click) == everything, name
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_changed_parameter_makes_exactly_its_feature_set_stale_and_that_can_be_materialized(page: Page, served: Served):
    dagster = served.dagster
    assert dagster.stale() == set()
    served.installation.edit_catalog("feature_sets", babycare_22k={"fmin_hz": 25})
    reload_definitions(page, dagster.address)
    wait_until(dagster.stale, "the changed feature set is stale", MINUTES)
    assert dagster.stale() == {CHANGED}
    assert dagster.assets()[CHANGED].causes == [f"{CHANGED}: has a new code version"]

    dialog = unsynced(page, open_lineage(page, dagster.address))
    shoot(page, "materialize_unsynced")
    expect(dialog.get_by_role("checkbox")).to_have_count(2)  # all, and the one
    run = dagster.wait_for_run(launched_by(page, dialog.get_by_role("button", name=re.compile("^Materialize 1")).click))
    assert run.assets == {CHANGED}
    assert CHANGED not in dagster.stale()


@pytest.fixture(scope="module")
def recordings(served: Served) -> int:
    """How many recordings there are, before one more is laid into the inbox.

    The sensor looks every half minute, and meanwhile there is more to see.
    """
    before = counted(served)
    donate(served.installation, served.settings.corpus_folder or Path())
    return before


@pytest.mark.usefixtures("recordings")
def test_stopped_run_is_resumed_at_the_fold_it_was_in(page: Page, served: Served):
    dagster, key = served.dagster, served.key("runs", NETWORK)
    served.installation.edit_catalog("models", lfeb_attention_lstm={"epochs": EPOCHS, "patience": EPOCHS})
    reload_definitions(page, dagster.address)
    wait_until(lambda: key in dagster.stale(), "the network is stale", MINUTES)
    before = folds(served)
    open_asset(page, dagster.address, key)
    run = launched_by(page, materialize(page).click)
    page.goto(f"{dagster.address}/runs/{run}")
    terminate = page.get_by_role("button", name="Terminate").first
    terminate.wait_for()
    wait_until(lambda: folds(served) > before, "a fold is finished", 5 * MINUTES)
    terminate.click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("Terminate")).click()
    dagster.wait_for_run(run, "CANCELED")
    shoot(page, "terminated")

    kept = folds(served) - before
    open_asset(page, dagster.address, key)
    dagster.wait_for_run(launched_by(page, materialize(page).click))
    said = dagster.assets()[key].metadata
    assert (said["reused"], said["computed"]) == (kept, 3 - kept)
    assert 0 < kept < 3
    open_asset(page, dagster.address, key)
    shoot(page, "resumed")


def test_file_dropped_into_the_inbox_arrives(page: Page, served: Served, recordings: int):
    def taken_in() -> bool:
        return any(run.job == INGEST and run.status == "SUCCESS" for run in served.dagster.runs())

    wait_until(taken_in, "the donation is taken in", 4 * MINUTES)
    assert counted(served) == recordings + 1
    open_asset(page, served.dagster.address, "manifests/recordings")
    expect(page.get_by_text(str(recordings + 1), exact=True).first).to_be_visible()
    shoot(page, "donation")


def counted(served: Served) -> int:
    """How many rows the manifest has, as Dagster says."""
    return served.dagster.assets()["manifests/recordings"].metadata["dagster/row_count"]


def folds(served: Served) -> int:
    """How many folds of the network are finished."""
    return len(list((served.settings.runs / NETWORK).glob("*/fold-*/provenance.json")))
