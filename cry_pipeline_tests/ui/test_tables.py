"""Sorting, filtering and searching the leaderboard: what must be read together stays together and in view."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.reports.leaderboard import LEADERBOARD
from cry_pipeline.reports.report import Material

pytestmark = pytest.mark.ui


@pytest.fixture(scope="module")
def path(many: list[Evidence], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return LEADERBOARD.write(Material(load_catalog(), many), tmp_path_factory.mktemp("reports")).page


@pytest.fixture
def board(path: Path, page: Page) -> Page:
    page.goto(path.as_uri())
    return page


def shown(board: Page) -> list[str]:
    """Return the experiments whose rows are seen, from the top down."""
    links = board.locator("table.experiments tbody:not([hidden]) th[scope=row] a:visible")
    return [str(link.get_attribute("href")).removeprefix("experiments/").removesuffix(".html") for link in links.all()]


def head(board: Page, name: str) -> Locator:
    """Return the button that sorts the first table by a column."""
    return board.locator("table.experiments").first.get_by_role("button", name=name, exact=True)


def test_rows_move_with_their_twins_and_what_has_none_stays_last(board: Page) -> None:
    """Its clip-level row alone would put weak_clips first, and alone_clips, which is not to be quoted, above it."""
    head(board, "UAR").click()
    by_value = shown(board)
    assert by_value == [
        "lr_grouped",
        "lr_clips",
        "lr_other_features",
        "weak_grouped",
        "weak_clips",
        "alone_clips",
        "cry_lr",
    ]
    head(board, "UAR").click()
    assert shown(board) == [
        "weak_grouped",
        "weak_clips",
        "lr_other_features",
        "lr_grouped",
        "lr_clips",
        "alone_clips",
        "cry_lr",
    ]
    expect(board.locator("[aria-sort]")).to_have_count(1)
    expect(board.locator("[aria-sort=ascending]")).to_have_text("UAR")


def test_a_found_clip_level_row_is_shown_with_its_twin(board: Page) -> None:
    board.locator("select[name=protocol]").select_option("clip_stratified")
    assert shown(board) == ["lr_grouped", "lr_clips", "weak_grouped", "weak_clips", "alone_clips"]
    expect(board.locator(".tools output")).to_have_text("3 of 7 experiments, and 2 to read them with")
    board.locator("select[name=cohort]").select_option("curation")
    assert shown(board) == []


def test_all_words_are_looked_for_and_all_rows_come_back(board: Page) -> None:
    everything = shown(board)
    board.get_by_label("search").fill("Other mel128")
    expect(board.locator(".tools output")).to_have_text("1 of 7 experiments")
    assert shown(board) == ["lr_other_features"]
    board.get_by_role("button", name="show all").click()
    assert shown(board) == everything
    expect(board.locator(".tools output")).to_have_text("7 experiments")


def test_without_a_script_all_rows_are_there_and_no_tool_that_does_nothing(path: Path, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(path.as_uri())
    assert len(shown(page)) == 7
    expect(page.locator(".tools")).to_be_hidden()
    context.close()
