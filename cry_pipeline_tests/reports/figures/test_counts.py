"""Figures of counts: small, in both themes, and no bar is lost."""

import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cry_pipeline.reports.figures import counts as plots
from cry_pipeline_tests.reports.figures.test_figures import THEMES, is_small_png, style


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Collects the figures that are drawn."""
    seen: list[Figure] = []
    monkeypatch.setattr(plots, "png", lambda made: seen.append(made) or b"")
    return seen


def bars_of(axes: Axes) -> list[Rectangle]:
    return [bar for bar in axes.patches if isinstance(bar, Rectangle)]


def instants(*days: str) -> "pd.Series[pd.Timestamp]":
    return pd.Series(pd.to_datetime(list(days), format="ISO8601", utc=True))


@THEMES
def test_figures_are_small(theme: style.Theme) -> None:
    values = pd.Series([3.0, 1.0], index=["one", "two"])
    for data in (
        plots.bars(values, "Sizes", theme, written="{:.1f} MB"),
        plots.histogram(values, "Values", "s", theme, least=0),
        plots.timeline(instants("2015-05-01", "2015-05-03"), "Recorded", theme),
    ):
        assert is_small_png(data, theme)


@pytest.mark.parametrize(
    ("days", "counts", "unit"),
    [
        (("2015-05-01T23:59", "2015-05-01", "2015-05-03"), [2, 1], "day"),
        (("2015-01-31", "2015-02-01", "2015-06-30", "2015-06-01"), [1, 1, 2], "month"),
        (("2015-05-01",), [1], "day"),
    ],
)
def test_each_day_or_month_has_a_bar_that_can_be_seen(days, counts, unit, drawn: list[Figure]) -> None:
    plots.timeline(instants(*days), "Recorded", style.LIGHT)
    (axes,) = drawn[0].axes
    assert [bar.get_height() for bar in bars_of(axes)] == counts
    low, high = axes.get_xlim()
    assert all(bar.get_width() > (high - low) / 200 for bar in bars_of(axes))
    assert axes.get_title(loc="left") == f"Recorded, by {unit}"


@pytest.mark.parametrize("least", [None, 0.0])
def test_every_value_is_in_the_histogram_whose_title_says_the_median(least, drawn: list[Figure]) -> None:
    plots.histogram(pd.Series([7.0, 7.0, 7.0]), "Duration", "s", style.LIGHT, least=least)
    (axes,) = drawn[0].axes
    assert sum(bar.get_height() for bar in bars_of(axes)) == 3
    assert axes.get_title(loc="left") == "Duration: median 7.0"


def test_bars_say_their_numbers_and_nothing_at_all_is_a_figure_too(drawn: list[Figure]) -> None:
    plots.bars(pd.Series({"small": 1.25, "large": 1200.0}), "Sizes", style.LIGHT, written="{:,.1f} MB")
    plots.bars(pd.Series(dtype=float), "Sizes", style.LIGHT)
    assert [text.get_text().strip() for text in drawn[0].axes[0].texts] == ["1.2 MB", "1,200.0 MB"]
    assert not drawn[1].axes[0].patches
