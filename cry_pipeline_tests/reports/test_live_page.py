"""The page of live evidence: what is not known is said, and every number comes with what it rests on."""

from dataclasses import replace

import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.reports import live_page
from cry_pipeline.reports.figures import donations as plots
from cry_pipeline.reports.figures.style import DARK, LIGHT
from cry_pipeline.reports.happened import Batch, Drifted, Estimate, Happened, Live, Reign, Week
from cry_pipeline.reports.heard import Pair
from cry_pipeline.reports.live_page import LIVE_PAGE, LiveError
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

CATALOG = load_catalog()
UNKNOWN = Estimate(None, None, None, 0, 0, "nobody has heard one yet")
BATCH = Batch(
    bundle="b" * 64,
    first="2026-01-01 10:00",
    last="2026-01-05 11:00",
    donations=31,
    donors=20,
    compared=[
        Drifted("platform", 0.8, 0.0005, 0.0065, True, "android 90 %, ios 10 %", "<b>new</b> 100 %"),
        Drifted("rms_dbfs", 0.1, 0.4, 1.0, False, "-20 (-30 to -10) dBFS", "-21 (-30 to -10) dBFS"),
    ],
    scores=[place / 100 for place in range(101)],
    reference=[(place / 100) ** 2 for place in range(101)],
)
LIVE = Live(
    donations=200,
    decisions={"taken": 80, "set_aside": 70, "person": 50},
    asked=65,
    heard=60,
    unusable=2,
    learned=3,
    work_saved=0.675,
    taken_right=Estimate(0.96, 0.86, 0.99, 24, 20),
    set_aside_right=UNKNOWN,
    auc=Estimate(0.951, 0.902, 0.987, 58, 41),
    recall=UNKNOWN,
    weeks=[Week("2026-01-12", 120, 40, 50, 40, 30, 38, 33), Week("2026-01-05", 80, 30, 30, 30, 20, 27, 27)],
    people=[Pair("ada", "<i>bob</i>", 12, 11, Interval(value=0.8, low=0.5, high=1.0)), Pair("ada", "eve", 1, 1, None)],
    champions=[
        Reign(
            "b" * 64,
            "2026-01-04T10:20:30+00:00",
            "promoted",
            None,
            0.9,
            200,
            150,
            Estimate(0.951, 0.902, 0.987, 58, 41),
            0.94,
        ),
        Reign("a" * 64, "2026-01-01T00:00:00+00:00", "promoted", None, None, 0, 0, UNKNOWN, None),
    ],
    batches=[BATCH, replace(BATCH, last="2025-12-30 09:00", compared=BATCH.compared[1:])],
)
NOTHING = Live(0, {"taken": 0, "set_aside": 0, "person": 0}, 0, 0, 0, 0, None, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN)


@pytest.fixture
def _without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


def material(live: Live = LIVE, digest: str = "d" * 64) -> Material:
    return Material(CATALOG, [], live=Happened(digest, lambda: live))


@pytest.mark.usefixtures("_without_figures")
def test_numbers_come_with_intervals_and_what_they_rest_on() -> None:
    html = html_of(LIVE_PAGE, material())
    links_of(html)
    text = Page(html).text
    assert "taken as a cry 80 40 % set aside 70 35 % left to a person 50 25 %" in text
    assert "work saved: nobody had to hear 67.5 %" in text
    assert "right of what is taken (95 % asked for) 96.0 % 86.0 to 99.0 % from 24 heard, of 20 donors" in text
    assert "right of what is set aside (95 % asked for) not known nobody has heard one yet" in text
    assert "area under the curve 0.951 0.902 to 0.987 from 58 heard, of 41 donors" in text
    assert "3 more donations are left out: the champion that decided on them had learned from them." in text
    assert "2026-01-12 120 40 50 42 % 40 33 % 30 25 % 33 of 38" in text


@pytest.mark.usefixtures("_without_figures")
def test_people_champions_and_drift_are_told_and_text_is_text() -> None:
    html = html_of(LIVE_PAGE, material())
    text = Page(html).text
    assert "ada and <i>bob</i> 12 11 92 % 0.80 0.50 to 1.00" in text
    assert "ada and eve 1 1 100 % not known" in text
    assert "<i>bob" not in html
    assert "<b>new" not in html
    assert f"{'b' * 16} 2026-01-04 10:20 – 0.900 200 150 0.951 0.902 to 0.987 0.940" in text
    assert "The latest batch: platform is unlike" in text
    assert "platform unlike android 90 %, ios 10 % <b>new</b> 100 % 0.80" in text
    assert "2025-12-30 09:00 31 bbbbbbbb nothing" in text


@pytest.mark.usefixtures("_without_figures")
def test_before_anything_happened_the_page_says_so() -> None:
    text = Page(html_of(LIVE_PAGE, material(NOTHING))).text
    assert "No champion has decided on a donation yet." in text
    assert "No donation has been judged by two people yet." in text
    assert "Too few donors have donated" in text
    assert LIVE_PAGE.schema is not None
    assert LIVE_PAGE.schema.conforming(LIVE_PAGE.table(NOTHING)).empty


@pytest.mark.usefixtures("_without_figures")
def test_of_many_weeks_a_part_is_shown_and_the_table_has_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_page, "SHOWN", 1)
    assert "and 1 earlier weeks" in Page(html_of(LIVE_PAGE, material())).text
    assert LIVE_PAGE.schema is not None
    table = LIVE_PAGE.schema.conforming(LIVE_PAGE.table(LIVE))
    assert table[["week", "taken", "heard"]].to_numpy().tolist() == [["2026-01-12", 50, 33], ["2026-01-05", 30, 27]]


def test_what_is_current_is_not_looked_at() -> None:
    def look() -> Live:
        raise AssertionError("it takes seconds")

    key = LIVE_PAGE.key(Material(CATALOG, [], live=Happened("d" * 64, look)))
    assert key == LIVE_PAGE.key(material())
    assert key != LIVE_PAGE.key(material(digest="e" * 64))
    with pytest.raises(LiveError, match="hand in what happened"):
        LIVE_PAGE.key(Material(CATALOG, []))


def test_figures_are_small_and_differ_by_theme() -> None:
    drawn = {
        name: [draw(theme) for theme in (LIGHT, DARK)]
        for name, draw in {
            "weeks": lambda theme: plots.weeks(LIVE.weeks, theme),
            "one week": lambda theme: plots.weeks(LIVE.weeks[:1], theme),
            "scores": lambda theme: plots.scores(BATCH, theme),
            "distances": lambda theme: plots.distances(BATCH, theme),
        }.items()
    }
    for light, dark in drawn.values():
        assert light != dark
        assert max(len(light), len(dark)) < 60_000
