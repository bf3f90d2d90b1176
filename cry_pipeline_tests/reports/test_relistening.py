"""The page of re-listening: every number with its interval, what is not known said, names shown as text."""

from dataclasses import replace

import pytest

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.reports.figures import heard as plots
from cry_pipeline.reports.heard import Finding, Heard, Listened, Other, Pair, Relistened
from cry_pipeline.reports.relistening import RELISTENING_PAGE, RelisteningError
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

CATALOG = load_catalog()
SAMPLE = Relistened(
    name="may",
    day="2015-05-31",
    experiment="curation_svm",
    of=718,
    drawn=60,
    heard=40,
    people=["Ann", "<b>Ben</b>"],
    counts=[("contradicted", "cry", "not_cry", 7), ("random", "not_cry", "not_cry", 21)],
    findings=[
        Finding(
            "auc",
            "the champion, by the labels, on all recordings",
            Interval(value=0.946, low=0.92, high=0.97),
            718,
            286,
        ),
        Finding("kappa", "labels and listeners, all recordings", Interval(value=0.78, low=0.52, high=0.98), 40, 31),
        Finding("auc", "the champion, by what listeners heard", None, 3, 2),
    ],
    others=[Other("a" * 64, "cry", "not_cry", "contradicted", 0.05)],
)
HEARD = Heard(
    [SAMPLE], [Pair("Ann", "<b>Ben</b>", 30, 21, Interval(value=0.44, low=0.15, high=0.68))], faults=["no run"]
)


def material(heard: Heard) -> Material:
    return Material(CATALOG, [], listened=Listened("digest", lambda: heard))


@pytest.fixture(autouse=True)
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


def test_every_number_is_there_with_its_interval_or_said_not_to_be_known() -> None:
    html = html_of(RELISTENING_PAGE, material(HEARD))
    text = Page(html).text
    links_of(html)
    assert "40 of 60 recordings have a verdict that counts" in text
    assert "the champion, by the labels, on all recordings AUC 0.946 0.920 to 0.970 718 286" in text
    assert "the champion, by what listeners heard AUC too little heard 3 2" in text
    assert "models contradict it cry not cry 7" in text
    assert "1 recording was heard otherwise than labelled" in text
    assert "Ann and <b>Ben</b> 30 21 0.440 0.150 to 0.680" in text
    assert "Cannot be told: no run" in text


def test_the_table_has_a_row_for_each_number() -> None:
    table = RELISTENING_PAGE.table(HEARD)
    assert list(table["measure"]) == ["auc", "kappa", "auc"]
    assert table["value"].isna().tolist() == [False, False, True]
    assert not RELISTENING_PAGE.table(Heard()).shape[0]


def test_where_nothing_was_heard_the_page_says_how_to_begin() -> None:
    text = Page(html_of(RELISTENING_PAGE, material(Heard()))).text
    assert "cry-pipeline review sample" in text
    assert "No two people have judged the same recording yet." in text


def test_the_key_is_known_without_a_look() -> None:
    def look() -> Heard:
        raise AssertionError("the key is of digests alone")

    keys = {RELISTENING_PAGE.key(Material(CATALOG, [], listened=Listened(name, look))) for name in ("a", "b")}
    agreed = CATALOG.donations.model_copy(
        update={"judgements": CATALOG.donations.judgements.model_copy(update={"rule": "agreed"})}
    )
    keys.add(
        RELISTENING_PAGE.key(
            Material(CATALOG.model_copy(update={"donations": agreed}), [], listened=Listened("a", look))
        )
    )
    assert len(keys) == 3
    with pytest.raises(RelisteningError, match="nothing heard"):
        RELISTENING_PAGE.key(Material(CATALOG, []))


@pytest.mark.parametrize("narrow", [True, False])
def test_the_figure_stands_numbers_below_chance_too(narrow: bool) -> None:
    below = replace(SAMPLE.findings[1], at=Interval(value=-0.2, low=-0.5, high=0.1))
    assert plots.findings([below, *SAMPLE.findings], narrow=narrow)
