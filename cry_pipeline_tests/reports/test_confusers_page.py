"""The page of confusers: shares with intervals, the control apart, a player that needs no network, faults said."""

from base64 import b64decode
from dataclasses import replace
from io import BytesIO

import pytest
import soundfile

from cry_pipeline.catalog import load_catalog
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.reports.confused import AskedKind, Confused
from cry_pipeline.reports.confusers_page import CONFUSERS_PAGE, PLAYED_S, ConfusersError
from cry_pipeline.reports.figures import confusers as plots
from cry_pipeline.reports.report import Material
from cry_pipeline_tests.reports.test_leaderboard import Page, html_of, links_of

CONFUSED = Confused(
    bundle="b" * 64,
    sentence="AUC 0.946 [0.923, 0.967]",
    verdict="above chance",
    threshold=0.5,
    usual=0.12,
    kinds=[
        AskedKind("cat", (0.9, 0.8, 0.2, 0.7), Interval(value=0.75, low=0.3, high=0.95)),
        AskedKind("<b>", (0.1, 0.1, 0.1, 0.2), Interval(value=0.0, low=0.0, high=0.49)),
        AskedKind("cry", (0.9, 0.9, 0.9, 0.9), Interval(value=1.0, low=0.51, high=1.0)),
    ],
    known=["cat"],
)


def material(confused: Confused | None = CONFUSED) -> Material:
    return Material(load_catalog(), [], confused=confused)


@pytest.fixture(autouse=True)
def _without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "png", lambda made: bytes(24))


def test_every_kind_is_there_with_its_share_and_the_known_confusers_are_named_first() -> None:
    html = html_of(CONFUSERS_PAGE, material())
    text = Page(html).text
    links_of(html)
    assert "The champion takes cats for cries clearly more often" in text
    assert "of which it calls 12 % one (out of fold)" in text
    assert "cats known confuser 0.750 0.300 to 0.950 4 0.75" in text
    assert "made-up cries the control: these should be 1.000 0.510 to 1.000 4 0.90" in text
    assert "<b> 0.000 0.000 to 0.490 4 0.10" in text, "a name that is no kind of ours is text"
    assert "AUC 0.946 [0.923, 0.967]" in text, "the headline stands beside it"


def test_a_player_holds_its_sound() -> None:
    html = html_of(CONFUSERS_PAGE, material())
    sounds = [part.split('"')[0] for part in html.split('src="data:audio/wav;base64,')[1:]]
    assert len(sounds) == 2, "of the kinds that there are formulas of"
    samples, rate_hz = soundfile.read(BytesIO(b64decode(sounds[0])))
    assert len(samples) == PLAYED_S * rate_hz
    assert abs(samples).max() > 0.001


def test_the_table_counts_what_is_called_a_cry() -> None:
    table = CONFUSERS_PAGE.table(CONFUSED)
    assert table["called"].tolist() == [3, 0, 4]
    assert table["control"].tolist() == [False, False, True]
    assert table["known"].tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"known": ()}, "None of these sounds is clearly called a cry more often"),
        ({"verdict": "not distinguishable from chance"}, "This champion answers nothing"),
        ({"kinds": (), "fault": "There is no champion yet."}, "Nothing to show: There is no champion yet."),
        (
            {"kinds": [AskedKind("cry", (0.1,) * 4, Interval(value=0.0, low=0.0, high=0.49))]},
            "That is too few for the rest of this page to say much",
        ),
    ],
)
def test_what_limits_the_page_is_said_on_it(changed: dict, expected: str) -> None:
    assert expected in Page(html_of(CONFUSERS_PAGE, material(replace(CONFUSED, **changed)))).text


def test_without_an_answer_there_is_no_page() -> None:
    with pytest.raises(ConfusersError, match="hand in what it was asked"):
        CONFUSERS_PAGE.content(material(None))
