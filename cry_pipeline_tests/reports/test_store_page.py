"""The page of the feature store: what is there, what is not and why, and who uses it."""

from dataclasses import replace

import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.reports.figures import counts as plots
from cry_pipeline.reports.material import Stored, StoredSet, Unlisted
from cry_pipeline.reports.report import Material
from cry_pipeline.reports.store_page import STORE_PAGE, StoreError
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

CATALOG = load_catalog()
NAME = next(iter(CATALOG.feature_sets))
SET = StoredSet(
    name=NAME,
    digest="d" * 64,
    recordings=1200,
    missing=3,
    failed={"<i>odd</i>.wav": "The recording is too short for one frame."},
    parts=4,
    bytes=12_000_000,
    superseded_parts=2,
    superseded_bytes=500_000,
    runs=7,
)
STORED = Stored([SET], [Unlisted("e" * 64, 1, 2_000_000, 0)], ["runs/x/provenance.json cannot be read"])


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


def test_the_page_says_what_is_there_and_what_is_not() -> None:
    html = html_of(STORE_PAGE, Material(CATALOG, [], stored=STORED))
    text = Page(html).text
    links_of(html)
    assert f"{NAME} 1,200 1 failed, 3 missing 12.0 0.5 superseded 4 2 superseded 7" in text
    assert "Together 14.5 MB." in text
    assert "<i>odd</i>.wav : The recording is too short" in text
    assert "3 recordings have no features yet" in text
    assert "Cannot be read: runs/x/provenance.json" in text
    assert "Not in the catalog any more" in text
    assert f"{'e' * 12} 1 2.0 0" in text


def test_experiments_that_read_a_feature_set_are_its_users_and_lead_to_their_pages(evidence) -> None:
    experiment = "cleaned_logistic_regression_donor_grouped"
    found = evidence(experiment)
    html = html_of(STORE_PAGE, Material(CATALOG, [found], stored=STORED))
    assert f'<a href="experiments/{experiment}.html">{experiment}</a>' in html
    text = Page(html).text
    assert "cleaned_random_forest_donor_grouped not run" in text
    assert "majority" not in text, "it reads no features"


def test_an_empty_store_is_a_page_too() -> None:
    assert "Nothing yet." in html_of(STORE_PAGE, Material(CATALOG, [], stored=Stored([])))


def test_the_key_is_that_of_what_is_stored() -> None:
    def key(stored: Stored) -> str:
        return STORE_PAGE.key(Material(CATALOG, [], stored=stored))

    changed = [replace(SET, failed={}), replace(SET, parts=5), replace(SET, runs=8)]
    assert len({key(STORED), *(key(replace(STORED, sets=[other])) for other in changed)}) == 4
    with pytest.raises(StoreError, match="no feature store"):
        STORE_PAGE.key(Material(CATALOG, []))
