"""Figures of reports that compare runs: the leakage ladder, and differences with their intervals.

Belongs here: figures of several runs. Does not: figures of one (intervals.py, experiments.py), and how figures
look (style.py).
"""

from collections.abc import Sequence

from matplotlib.axes import Axes

from cry_pipeline.evaluation.findings import Comparison, Interval
from cry_pipeline.evaluation.ladder import Ladder
from cry_pipeline.evaluation.records import METRIC_NAMES
from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png

ROW_INCHES = 0.34


def ladder(ladders: Sequence[Ladder], theme: Theme = LIGHT) -> bytes:
    """Draw headline metric (left) and accuracy (right) of each rung, one row of panels per ladder."""
    heights = [len(shown.rungs) + 2.0 for shown in ladders]
    made = figure(9.2, ROW_INCHES * sum(heights) + 0.7, theme)
    grid = made.subplots(len(ladders), 2, height_ratios=heights, squeeze=False, sharey="row")
    for (left, right), shown in zip(grid, ladders, strict=True):
        first = next(rung.found for rung in shown.rungs if rung.found)
        for row, rung in enumerate(shown.rungs):
            if rung.found is None:
                left.text(0.6, row, rung.status, va="center", fontsize=8.5)
                left.texts[-1].set_color(theme.muted)
                continue
            honest = rung.found.provenance.keeps_donors_apart
            _interval(left, row, rung.found.headline, theme, honest=honest)
            _interval(right, row, rung.found.metrics["accuracy"], theme, honest=honest)
            right.plot([rung.found.majority_rate] * 2, [row - 0.36, row + 0.36], color=theme.ink, linewidth=1.6)
        left.axvline(first.chance, color=theme.muted, linewidth=1.2, linestyle=DASHED)
        left.set_yticks(range(len(shown.rungs)), [rung.kind.replace("_", " ") for rung in shown.rungs])
        metric = METRIC_NAMES[first.headline_metric]
        for axes in (left, right):
            axes.set(xlim=(-0.01, 1.01), ylim=(len(shown.rungs) - 0.5, -0.6))
        title = f"{shown.model.replace('_', ' ')} · {shown.cohort}"
        dress(left, theme, title=title, x=f"{metric}; dashed: chance {first.chance:.2f}", grid="x")
        dress(right, theme, title="", x="accuracy; vertical line: majority class", grid="x")
    made.suptitle("●  donors not in training      ◇  leaking", fontsize=9, color=theme.muted)
    return png(made)


def differences(comparisons: Sequence[Comparison], names: Sequence[str], right: str, theme: Theme = LIGHT) -> bytes:
    """Draw each difference, called by ``names``, with its interval beside 0; ``right`` says what lies there."""
    intervals = [Interval(value=pair.difference, low=pair.low, high=pair.high) for pair in comparisons]
    made = figure(7.2, 1.1 + ROW_INCHES * len(intervals), theme)
    axes = made.subplots()
    for row, interval in enumerate(intervals):
        _interval(axes, row, interval, theme, honest=True)
    axes.axvline(0, color=theme.contrast, linewidth=1.2, linestyle=DASHED)
    axes.set_yticks(range(len(intervals)), list(names))
    most = 1.15 * max(0.05, *(max(abs(interval.low), abs(interval.high)) for interval in intervals))
    axes.set(xlim=(-most, most), ylim=(len(intervals) - 0.5, -0.6))
    metric = METRIC_NAMES[comparisons[0].metric]
    dress(axes, theme, title="", x=f"difference in {metric}, 95 % interval over donors; right: {right}", grid="x")
    return png(made)


def _interval(axes: Axes, row: int, at: Interval, theme: Theme, *, honest: bool) -> None:
    colour, marker = (theme.mark, "o") if honest else (theme.contrast, "D")
    axes.plot([at.low, at.high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
    (point,) = axes.plot(at.value, row, marker, color=colour, markersize=6.5, markeredgewidth=1.6, clip_on=False)
    point.set_markerfacecolor(colour if honest else theme.surface)
