"""The page of donations: what came by the inbox and nothing else, with whom and when it came."""

import re

import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.reports import donations_page
from cry_pipeline.reports.donations_page import DONATIONS_PAGE, by_day, by_donor, donated
from cry_pipeline.reports.figures import counts as plots
from cry_pipeline.reports.material import Tables
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of
from cry_pipeline_tests.reports.test_manifest_page import HOSTILE, recording, refusal, tables_of

CATALOG = load_catalog()
INBOX = {"source": "inbox", "root": "inbox"}
TABLES = tables_of(
    [
        recording(0, 9),
        recording(1, 1, **INBOX),
        recording(2, 2, **INBOX, path="<b>new</b>.wav"),
        recording(5, 1, **INBOX, reason="tired", reason_code="ti"),
    ],
    [refusal("of the corpus.caf"), refusal(HOSTILE, **INBOX)],
)


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


def material(tables: Tables = TABLES) -> Material:
    return Material(CATALOG, [], tables=tables)


def test_only_what_came_by_the_inbox_is_shown() -> None:
    tables = donated(material())
    assert (len(tables.recordings), len(tables.quarantine)) == (3, 1)
    text = Page(html_of(DONATIONS_PAGE, material())).text
    assert "files 4 taken 3 refused 1 donors 2 days 3" in text
    assert "of the corpus.caf" not in text


def test_donors_and_days_are_the_latest_first() -> None:
    taken = donated(material()).recordings
    first, second = by_donor(taken)
    assert first["donor"].startswith("00000001")
    assert (first["recordings"], first["seconds"]) == (2, 2.0)
    assert (first["first"], first["last"]) == (
        pd.Timestamp("2015-05-02", tz="UTC"),
        pd.Timestamp("2015-05-06", tz="UTC"),
    )
    assert first["reasons"] == {"hungry": 1, "tired": 1}
    assert second["recordings"] == 1
    assert by_day(taken) == [("2015-05-06", 1, 1), ("2015-05-03", 1, 1), ("2015-05-02", 1, 1)]


def test_names_are_text_and_each_recording_taken_can_be_heard() -> None:
    html = html_of(DONATIONS_PAGE, material())
    links_of(html)
    assert "<b>new</b>.wav" in Page(html).text
    assert "<b>" not in html
    players = re.findall(r'<audio class="only-served"[^>]* src="recordings/([0-9a-f]{64})\.wav"', html)
    assert players == [recording(day)["recording_id"] for day in (5, 2, 1)]


def test_of_many_a_part_is_shown_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(donations_page, "LATEST", 1)
    monkeypatch.setattr(donations_page, "DONORS", 1)
    html = html_of(DONATIONS_PAGE, material())
    assert html.count("<audio") == 1
    text = Page(html).text
    assert "The latest 1 of 3." in text
    assert "and 1 more donors." in text
    assert "and 2 earlier days." in text


def test_an_empty_inbox_says_how_to_donate() -> None:
    html = html_of(DONATIONS_PAGE, material(tables_of([recording(0)], [refusal("a.caf")])))
    assert "The inbox is empty." in html
    assert "&lt;uuid&gt;-&lt;epoch&gt;" in html


def test_the_corpus_is_not_in_the_key() -> None:
    others = tables_of([recording(0, 9), recording(7)], [])
    both = Tables(
        pd.concat([TABLES.recordings[1:], others.recordings[1:]], ignore_index=True), TABLES.quarantine, "found"
    )
    assert DONATIONS_PAGE.key(material(both)) == DONATIONS_PAGE.key(material())
    fewer = Tables(TABLES.recordings, TABLES.quarantine[:1], "configured")
    assert DONATIONS_PAGE.key(material(fewer)) != DONATIONS_PAGE.key(material())
