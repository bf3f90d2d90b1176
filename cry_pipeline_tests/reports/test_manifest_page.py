"""The page of recordings: every file is counted once, in its source, and text from outside is shown as text."""

from typing import Any

import pandas as pd
import pytest

from cry_pipeline.catalog import CohortSpec, load_catalog
from cry_pipeline.corpus.refusals import REFUSALS
from cry_pipeline.corpus.schemas import QUARANTINE, RECORDINGS
from cry_pipeline.digests import sha256_of
from cry_pipeline.reports import manifest_page
from cry_pipeline.reports.figures import counts as plots
from cry_pipeline.reports.manifest_page import MANIFEST_PAGE, TablesError, by_source, by_value, cohorts_of, refused
from cry_pipeline.reports.material import Tables
from cry_pipeline.reports.pages import PAGES
from cry_pipeline.reports.report import Material
from cry_pipeline.reports.words import REFUSED
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

CATALOG = load_catalog()
HOSTILE = '<img src=x onerror="alert(1)">\\x1b[31m.wav'


def recording(number: int, donor: int = 0, **other: Any) -> dict[str, Any]:
    """Return a row of a manifest: one second of an Android upload, ``number`` days after the first of May."""
    uuid, day = f"{donor:08x}-0000-4000-8000-000000000000", pd.Timestamp("2015-05-01", tz="UTC")
    at = day + pd.Timedelta(days=number)
    return {
        "recording_id": sha256_of(str(number).encode()),
        "donation_id": f"{uuid}:{int(at.timestamp() * 1000)}",
        "donor": uuid,
        "source": "donateacry_android",
        "processing": "raw",
        "root": "corpus",
        "path": f"r{number}.3gp",
        "bytes": 1000,
        "name": f"r{number}.3gp",
        "folder_label": None,
        "recorded_at": at,
        "platform": "android",
        "app_version": "1.0",
        "gender": "male",
        "age_band": "0-4 weeks",
        "reason_code": "hu",
        "reason": "hungry",
        "consent_scope": None,
        "kept": None,
        "judgement": None,
        "duration_s": 1.0,
        "sample_rate_hz": 8000,
        "samples": 8000,
        "samples_digest": sha256_of(f"samples {number}".encode()),
        "codec": "amrnb",
        "channels": 1,
        "peak": 0.5,
        "rms_dbfs": -20.0,
        "clipped_fraction": 0.0,
        "silent_fraction": 0.0,
        "voiced_fraction": 0.25,
    } | other


def refusal(path: str, **other: Any) -> dict[str, Any]:
    """Return a row of a quarantine."""
    row = {"root": "corpus", "path": path, "source": "donateacry_ios", "bytes": 3, "sha256": None}
    return row | {"reason": "odd_name", "detail": f"{path}: expected another name."} | other


def tables_of(recordings: list[dict[str, Any]], quarantine: list[dict[str, Any]]) -> Tables:
    """Return both tables as the pipeline has them."""
    made = RECORDINGS.conforming(RECORDINGS.table_of(recordings))
    return Tables(made, QUARANTINE.conforming(QUARANTINE.table_of(quarantine)), "configured")


TABLES = tables_of(
    [
        recording(0, 1, kept=True),
        recording(1, 1, kept=False, reason="tired", reason_code="ti"),
        recording(2, 2, gender=None),
        recording(3, 3, source="inbox", root="inbox", sample_rate_hz=16_000, samples=16_000, codec="pcm_s16le"),
    ],
    [refusal("b.caf"), refusal(HOSTILE), refusal("short.wav", reason="too_short", source="inbox", root="inbox")],
)
MATERIAL = Material(CATALOG, [], tables=TABLES)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of words: drawing takes most of a page's time."""
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


def test_every_file_is_counted_in_its_source() -> None:
    rows = {row["source"]: row for row in by_source(TABLES)}
    assert list(rows) == ["donateacry_android", "donateacry_ios", "inbox"]
    assert sum(row["recordings"] for row in rows.values()) == len(TABLES.recordings)
    assert sum(row["refused"] for row in rows.values()) == len(TABLES.quarantine)
    android = rows["donateacry_android"]
    assert (android["recordings"], android["donors"], android["minutes"]) == (3, 2, 0.05)
    assert (android["kept"], android["judged"]) == (1, 2), "of one nobody knows whether it was kept"
    assert (rows["donateacry_ios"]["recordings"], rows["donateacry_ios"]["refused"]) == (0, 2), "all of it was refused"
    assert rows["inbox"]["rates_hz"] == [16_000]


def test_what_is_not_stated_is_counted_too_and_comes_last() -> None:
    rows = by_value(TABLES.recordings, "gender")
    assert [(row["value"], row["recordings"], row["donors"]) for row in rows] == [("male", 3, 2), (None, 1, 1)]
    hungry, tired = by_value(TABLES.recordings, "reason")
    assert hungry["sources"] == {"donateacry_android": 2, "inbox": 1}
    assert tired["value"] == "tired"


def test_cohorts_are_counted_by_class_and_one_that_cannot_be_made_says_why() -> None:
    labels = {"hungry": "hunger", "tired": "rest"}
    made = CohortSpec(
        processing="raw",
        sources=("donateacry_android", "inbox"),
        target="reason",
        labels=labels,
        classes=("rest", "hunger"),
    )
    empty = made.model_copy(update={"processing": "cleaned"})
    catalog = CATALOG.model_copy(update={"cohorts": {"made": made, "empty": empty}})
    first, second = cohorts_of(catalog, TABLES.recordings)
    assert (first["recordings"], first["donors"]) == (4, 3)
    assert first["classes"] == [("rest", 1, 1), ("hunger", 3, 3)]
    assert "none of 4 recordings has processing cleaned" in second["fault"]


def test_the_most_frequent_refusal_is_first_and_of_many_files_a_part_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_page, "LISTED", 1)
    odd, short = refused(TABLES.quarantine)
    assert (odd["reason"], odd["files"], odd["more"], len(odd["listed"])) == ("odd_name", 2, 1, 1)
    assert (short["reason"], short["files"], short["more"]) == ("too_short", 1, 0)
    (listed,) = short["listed"]
    assert (listed["path"], listed["detail"]) == ("short.wav", "expected another name."), "the name is said once"


def test_every_refusal_is_explained() -> None:
    assert set(REFUSED) == set(REFUSALS)


@pytest.mark.usefixtures("without_figures")
def test_the_page_holds_the_counts_and_names_of_files_are_text() -> None:
    html = html_of(MANIFEST_PAGE, MATERIAL)
    text = Page(html).text
    assert links_of(html) - {"assets/manifests/recordings"} <= set(PAGES)
    assert "recordings 4 donors 3 2 with one recording; at most 2" in text
    assert HOSTILE in text
    assert "<img src=x" not in html
    assert "not stated" in text
    assert "SYNTHETIC" not in html


@pytest.mark.usefixtures("without_figures")
def test_labels_that_contradict_each_other_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "contradict" not in html_of(MANIFEST_PAGE, MATERIAL).partition("</nav>")[2]
    other = {"reason": "tired", "reason_code": "ti", "path": "<b>.3gp"}
    twins = [recording(number) | {"donation_id": recording(0)["donation_id"]} for number in (0, 0)]
    twins[1] |= other | {"recording_id": "b" * 64, "samples_digest": "c" * 64}
    second = [recording(9), recording(9) | other | {"recording_id": "d" * 64, "samples_digest": "e" * 64}]
    monkeypatch.setattr(manifest_page, "LISTED", 1)
    html = html_of(MANIFEST_PAGE, Material(CATALOG, [], tables=tables_of([*twins, *second], [])))
    assert "2 recordings of one donation are named hungry and tired: &lt;b&gt;.3gp, r0.3gp." in html
    assert "and 1 more." in html


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("recordings", [[], [recording(0, source="synthetic")]])
def test_there_may_be_nothing_and_generated_recordings_are_named_so(recordings: list[dict[str, Any]]) -> None:
    html = html_of(MANIFEST_PAGE, Material(CATALOG, [], tables=tables_of(recordings, [])))
    assert ("<title>SYNTHETIC DATA" in html) == bool(recordings)
    assert "No file was refused." in html


def test_the_key_is_that_of_both_tables_and_the_cohorts() -> None:
    def key(tables: Tables, **changed: Any) -> str:
        return MANIFEST_PAGE.key(Material(CATALOG.model_copy(update=changed), [], tables=tables))

    keys = {
        key(TABLES),
        key(Tables(TABLES.recordings[1:], TABLES.quarantine, TABLES.how)),
        key(Tables(TABLES.recordings, TABLES.quarantine[1:], TABLES.how)),
        key(TABLES, cohorts={}),
    }
    assert len(keys) == 4
    with pytest.raises(TablesError, match="no manifest"):
        MANIFEST_PAGE.key(Material(CATALOG, []))
