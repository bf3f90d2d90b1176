"""Figures of reports that compare runs: the leakage ladder, and differences with their intervals.

Belongs here: figures of several runs. Does not: figures of one (intervals.py, experiments.py), and how figures
look (style.py).
"""

from collections.abc import Sequence

from cry_pipeline.evaluation.findings import Comparison, Interval
from cry_pipeline.evaluation.ladder import Ladder
from cry_pipeline.evaluation.records import METRIC_NAMES
from cry_pipeline.reports.figures.forest import NARROW_INCHES, draw_interval, name_rows, row_inches
from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png


def ladder(ladders: Sequence[Ladder], theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw headline metric and accuracy of each rung: a row of two panels per ladder, or two rows of one if narrow."""
    heights = [len(shown.rungs) + 2.0 for shown in ladders for _ in range(2 if narrow else 1)]
    width, height = NARROW_INCHES if narrow else 9.2, row_inches(narrow=narrow) * sum(heights) + 0.7
    made = figure(width, height, theme)
    shape = (len(heights), 1) if narrow else (len(heights), 2)
    panels = made.subplots(*shape, height_ratios=heights, squeeze=False, sharey=False if narrow else "row")
    for (left, right), shown in zip(panels.reshape(-1, 2), ladders, strict=True):
        first = next(rung.found for rung in shown.rungs if rung.found)
        for row, rung in enumerate(shown.rungs):
            if rung.found is None:
                left.text(0.6, row, rung.status, va="center", fontsize=8.5, color=theme.muted)
                continue
            apart = rung.found.provenance.keeps_donors_apart
            draw_interval(left, row, rung.found.headline, theme, apart=apart)
            draw_interval(right, row, rung.found.metrics["accuracy"], theme, apart=apart)
            right.plot([rung.found.majority_rate] * 2, [row - 0.24, row + 0.24], color=theme.ink, linewidth=1.6)
        left.axvline(first.chance, color=theme.muted, linewidth=1.2, linestyle=DASHED)
        for axes in (left, right):
            axes.set(xlim=(-0.01, 1.01))
        for axes in (left, right) if narrow else (left,):
            name_rows(axes, [rung.kind.replace("_", " ") for rung in shown.rungs], theme, narrow=narrow)
        title = f"{shown.model.replace('_', ' ')} · {shown.cohort}"
        x = f"{METRIC_NAMES[first.headline_metric]}; dashed: chance {first.chance:.2f}"
        dress(left, theme, title=title, x=x, grid="x")
        dress(right, theme, title="", x="accuracy; vertical line: majority class", grid="x")
    keys = "●  donors not in training      ◇  leaking"
    made.suptitle(keys, fontsize=9, color=theme.muted)
    return png(made)


def differences(
    comparisons: Sequence[Comparison], names: Sequence[str], right: str, theme: Theme = LIGHT, *, narrow: bool = False
) -> bytes:
    """Draw each difference, called by ``names``, with its interval beside 0; ``right`` says what lies there."""
    intervals = [Interval(value=pair.difference, low=pair.low, high=pair.high) for pair in comparisons]
    made = figure(NARROW_INCHES if narrow else 7.2, 1.1 + row_inches(narrow=narrow) * len(intervals), theme)
    axes = made.subplots()
    for row, interval in enumerate(intervals):
        draw_interval(axes, row, interval, theme)
    axes.axvline(0, color=theme.contrast, linewidth=1.2, linestyle=DASHED)
    name_rows(axes, names, theme, narrow=narrow)
    most = 1.15 * max(0.05, *(max(abs(interval.low), abs(interval.high)) for interval in intervals))
    axes.set(xlim=(-most, most))
    metric, cut = METRIC_NAMES[comparisons[0].metric], "\n" if narrow else " "
    over = "donors and trainings" if comparisons[0].trainings > 1 else "donors, widened"
    x = f"difference in {metric}, 95 % interval over {over};{cut}right: {right}"
    dress(axes, theme, title="", x=x, grid="x")
    return png(made)
