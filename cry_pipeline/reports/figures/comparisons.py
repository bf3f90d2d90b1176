"""Figures of reports that compare runs: the leakage ladder, and differences with their intervals.

Belongs here: figures of several runs. Does not: figures of one (intervals.py, experiments.py), and how figures
look (style.py).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.axes import Axes

from cry_pipeline.evaluation.findings import Comparison, Interval
from cry_pipeline.evaluation.records import METRIC_NAMES
from cry_pipeline.reports.figures.style import LIGHT, Theme, dress, figure, png

if TYPE_CHECKING:
    from cry_pipeline.reports.leakage_ladder import Ladder

ROW_INCHES = 0.34
DASHED = (0, (4, 3))


def ladder(found: "Sequence[Ladder]", theme: Theme = LIGHT) -> bytes:
    """Draw headline metric (left) and accuracy (right) of each rung, one row of panels per ladder."""
    heights = [len(each.rungs) + 2.0 for each in found]
    made = figure(9.2, ROW_INCHES * sum(heights) + 0.7, theme)
    grid = made.subplots(len(found), 2, height_ratios=heights, squeeze=False, sharey="row")
    for (left, right), each in zip(grid, found, strict=True):
        first = next(rung.found for rung in each.rungs if rung.found)
        for row, rung in enumerate(each.rungs):
            if rung.found is None:
                left.text(0.6, row, "not run" if rung.experiment else "not in the catalog", va="center", fontsize=8.5)
                left.texts[-1].set_color(theme.muted)
                continue
            honest = rung.found.provenance.grouped
            _interval(left, row, rung.found.headline, theme, honest=honest)
            _interval(right, row, rung.found.metrics["accuracy"], theme, honest=honest)
            right.plot([rung.found.majority_rate] * 2, [row - 0.36, row + 0.36], color=theme.ink, linewidth=1.6)
        left.axvline(first.chance, color=theme.muted, linewidth=1.2, linestyle=DASHED)
        left.set_yticks(range(len(each.rungs)), [rung.kind.replace("_", " ") for rung in each.rungs])
        metric = METRIC_NAMES[first.headline_metric]
        for axes in (left, right):
            axes.set(xlim=(-0.01, 1.01), ylim=(len(each.rungs) - 0.5, -0.6))
        title = f"{each.model.replace('_', ' ')} · {each.cohort}"
        dress(left, theme, title=title, x=f"{metric}; dashed: chance {first.chance:.2f}", grid="x")
        dress(right, theme, title="", x="accuracy; upright: constant answer", grid="x")
    made.suptitle("●  tested on donors not trained on      ◇  leaking", fontsize=9, color=theme.muted)
    return png(made)


def differences(found: Sequence[Comparison], names: Sequence[str], right: str, theme: Theme = LIGHT) -> bytes:
    """Draw each difference, called by ``names``, with its interval beside 0; ``right`` says what lies there."""
    made = figure(7.2, 1.1 + ROW_INCHES * len(found), theme)
    axes = made.subplots()
    for row, each in enumerate(found):
        _interval(axes, row, Interval(value=each.difference, low=each.low, high=each.high), theme, honest=True)
    axes.axvline(0, color=theme.contrast, linewidth=1.2, linestyle=DASHED)
    axes.set_yticks(range(len(found)), list(names))
    most = 1.15 * max(0.05, *(max(abs(each.low), abs(each.high)) for each in found))
    axes.set(xlim=(-most, most), ylim=(len(found) - 0.5, -0.6))
    metric = METRIC_NAMES[found[0].metric]
    dress(axes, theme, title="", x=f"difference in {metric}, 95 % interval over donors; right: {right}", grid="x")
    return png(made)


def _interval(axes: Axes, row: int, at: Interval, theme: Theme, *, honest: bool) -> None:
    colour, marker = (theme.mark, "o") if honest else (theme.contrast, "D")
    axes.plot([at.low, at.high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
    (point,) = axes.plot(at.value, row, marker, color=colour, markersize=6.5, markeredgewidth=1.6, clip_on=False)
    point.set_markerfacecolor(colour if honest else theme.surface)
