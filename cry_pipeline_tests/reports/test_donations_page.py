"""The page of donations: what was donated and nothing else, and what became of it, with whom and when it came."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.corpus.judgements import COUNTING
from cry_pipeline.reports import donations_page
from cry_pipeline.reports.donations_page import DONATIONS_PAGE, DonationsError, by_day, by_donor, donated
from cry_pipeline.reports.figures import counts as plots
from cry_pipeline.reports.material import Donations, Tables
from cry_pipeline.reports.report import Material
from cry_pipeline.reports.rows import glance
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of
from cry_pipeline_tests.reports.test_manifest_page import HOSTILE, recording, refusal, tables_of

PACKAGED = load_catalog()
REASONS = {"hungry": "hungry", "tired": "tired"}
UPLOADS = PACKAGED.cohorts["uploads"].model_copy(update={"labels": REASONS, "classes": tuple(REASONS)})
CATALOG = PACKAGED.model_copy(update={"cohorts": PACKAGED.cohorts | {"uploads": UPLOADS}})
OWN = {"source": "inbox", "root": "archive"}
TABLES = tables_of(
    [
        recording(0, 9, kept=True),
        recording(1, 1, **OWN, judgement="not_cry"),
        recording(2, 2, **OWN, name="<b>new</b>.wav", consent_scope="archive"),
        recording(5, 1, **OWN, reason="tired", reason_code="ti"),
        recording(6, 9, kept=False),
    ],
    [refusal("of the corpus.caf"), refusal(HOSTILE, source="inbox", root="inbox")],
)
ONE, TWO, FIVE = (recording(number)["recording_id"] for number in (1, 2, 5))
TRIAGE = pd.DataFrame(
    {
        "recording_id": [ONE, FIVE],
        "bundle": "b" * 64,
        "score": [0.93, float("nan")],
        "decision": ["taken", "person"],
        "audit": [True, False],
        "lower": 0.1,
        "upper": 0.9,
    }
)
KNOWN = Donations(
    TRIAGE,
    COUNTING.table_of(
        [
            {
                "recording_id": ONE,
                "verdict": "not_cry",
                "reason": None,
                "at": pd.Timestamp("2026-01-02", tz="UTC"),
                "people": "Ada, <i>Bob</i>",
            }
        ]
    ),
    pd.Series(
        pd.to_datetime(["2026-01-01T10:00", "2026-01-01T11:00", "2026-01-03T09:30"], utc=True), index=[TWO, ONE, FIVE]
    ),
    {"mel64_8k": [ONE, TWO], "mel128_8k": [ONE]},
)


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


def material(tables: Tables = TABLES, known: Donations = KNOWN) -> Material:
    return Material(CATALOG, [], tables=tables, donations=known)


def test_only_donations_are_shown() -> None:
    found = donated(material())
    assert (len(found.rows), len(found.tables.quarantine)) == (3, 1)
    text = Page(html_of(DONATIONS_PAGE, material())).text
    assert "files 4 accepted 3 refused 1 donors 2 days 2" in text
    assert "of the corpus.caf" not in text


def test_the_table_says_what_became_of_each_the_latest_to_arrive_first() -> None:
    table = DONATIONS_PAGE.table(donated(material()))
    schema = DONATIONS_PAGE.schema
    assert schema is not None
    table = schema.conforming(table)
    assert table["recording_id"].tolist() == [FIVE, ONE, TWO]
    last, first = table.iloc[0], table.iloc[1]
    assert (last["decision"], last["features"], last["cohorts"]) == ("person", "", "uploads")
    assert pd.isna(last["judgement"])
    assert (first["score"], first["decision"], first["audit"], first["judgement"]) == (0.93, "taken", True, "not_cry")
    assert first["features"] == "mel64_8k, mel128_8k"
    assert first["cohorts"] == "uploads, curation", "the one that people have judged is learned from"
    kept_only = table.iloc[2]
    assert (pd.isna(kept_only["decision"]), kept_only["cohorts"]) == (True, "")


def test_at_a_glance_the_score_is_the_one_of_triage() -> None:
    seen = glance(DONATIONS_PAGE.table(donated(material())), *DONATIONS_PAGE.glance)
    assert list(seen) == list(DONATIONS_PAGE.glance)
    assert seen["score"].tolist()[1] == 0.93


def test_a_cohort_that_cannot_be_made_holds_nothing() -> None:
    table = DONATIONS_PAGE.table(donated(replace(material(), catalog=PACKAGED)))
    assert table["cohorts"].tolist() == ["", "curation", ""]


def test_the_page_tells_decisions_and_warns_who_judges() -> None:
    text = Page(html_of(DONATIONS_PAGE, material())).text
    assert "taken as a cry 1 33 % for a person 1 33 % not asked 1 33 % drawn for audit 1 judged by people 1" in text
    assert "0.93 taken as a cry and heard, for audit not a cry Ada, <i>Bob</i> 2 of 2 uploads, curation" in text
    assert "not asked may only be kept none yet 1 of 2 none" in text
    assert "Whoever judges donations should do so before reading scores here" in text


def test_donors_and_days_are_the_latest_first() -> None:
    rows = donated(material()).rows
    first, second = by_donor(rows)
    assert first["donor"].startswith("00000001")
    assert (first["donations"], first["seconds"], first["decisions"]) == (2, 2.0, {"person": 1, "taken": 1})
    assert (first["first"], first["last"]) == (
        pd.Timestamp("2026-01-01T11:00", tz="UTC"),
        pd.Timestamp("2026-01-03T09:30", tz="UTC"),
    )
    assert (second["donations"], second["decisions"]) == (1, {"not_asked": 1})
    assert by_day(rows) == [("2026-01-03", 1, 1), ("2026-01-01", 2, 2)]


def test_names_are_text_and_each_donation_can_be_heard() -> None:
    html = html_of(DONATIONS_PAGE, material())
    links_of(html)
    assert "<b>new</b>.wav" in Page(html).text
    assert "<b>" not in html
    assert "<i>" not in html
    players = re.findall(r'<audio class="only-served"[^>]* src="recordings/([0-9a-f]{64})\.wav"', html)
    assert players == [FIVE, ONE, TWO]


def test_of_many_a_part_is_shown_and_the_page_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(donations_page, "SHOWN", 1)
    html = html_of(DONATIONS_PAGE, material())
    assert html.count("<audio") == 1
    text = Page(html).text
    assert "The latest 1 of 3" in text
    assert "and 1 more donors." in text
    assert "and 1 earlier days." in text


def test_without_donations_the_page_says_how_to_donate() -> None:
    nothing = Donations(TRIAGE[:0], KNOWN.judged[:0], KNOWN.arrived[:0], {"mel64_8k": []})
    shown = material(tables_of([recording(0)], [refusal("a.caf")]), nothing)
    html = html_of(DONATIONS_PAGE, shown)
    assert "Nothing was donated yet." in html
    assert "&lt;uuid&gt;-&lt;epoch&gt;" in html
    schema = DONATIONS_PAGE.schema
    assert schema is not None
    assert schema.conforming(DONATIONS_PAGE.table(donated(shown))).empty


def test_the_corpus_is_not_in_the_key_and_what_became_of_donations_is() -> None:
    key = DONATIONS_PAGE.key(material())
    others = tables_of([recording(0, 9, kept=True), recording(7, kept=False)], [])
    both = pd.concat([TABLES.recordings[1:4], others.recordings], ignore_index=True)
    assert DONATIONS_PAGE.key(material(Tables(both, TABLES.quarantine, "found"))) == key
    changed = {
        "tables": material(Tables(TABLES.recordings, TABLES.quarantine[:1], "configured")),
        "triage": material(known=replace(KNOWN, triage=TRIAGE.assign(score=0.5))),
        "judged": material(known=replace(KNOWN, judged=KNOWN.judged[:0])),
        "arrived": material(known=replace(KNOWN, arrived=KNOWN.arrived + pd.Timedelta(days=1))),
        "features": material(known=replace(KNOWN, featured={"mel64_8k": [ONE, TWO]})),
    }
    assert all(DONATIONS_PAGE.key(other) != key for other in changed.values())


def test_a_page_without_triage_says_what_to_do() -> None:
    with pytest.raises(DonationsError, match="not come to 1 donations yet: materialize donations/triage"):
        donated(material(known=replace(KNOWN, arrived=KNOWN.arrived.drop(TWO))))
    with pytest.raises(DonationsError, match="hand triage and judgements in"):
        DONATIONS_PAGE.key(Material(CATALOG, [], tables=TABLES))
