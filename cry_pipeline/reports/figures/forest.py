"""Rows of values with their intervals, as wide figures have them and as small screens do.

Belongs here: what all figures of intervals share. Does not: what their rows are (the other modules here).
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import blended_transform_factory

from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.reports.figures.style import Theme

ROW_INCHES = 0.34
NARROW_INCHES = 3.4
"""A screen of 390 CSS pixels leaves this much between its margins; what is wider would be shrunk until nobody can
read it."""
NARROW_ROW_INCHES = 0.46


def row_inches(*, narrow: bool) -> float:
    """Return the height of a row; a narrow figure's has its name above it."""
    return NARROW_ROW_INCHES if narrow else ROW_INCHES


def draw_interval(axes: Axes, row: int, at: Interval, theme: Theme, *, apart: bool = True) -> None:
    """Draw a value and its interval in ``row``; that of donors that were in training is hollow."""
    colour, marker = (theme.mark, "o") if apart else (theme.contrast, "D")
    axes.plot([at.low, at.high], [row, row], color=colour, linewidth=2.2, solid_capstyle="round")
    (point,) = axes.plot(at.value, row, marker, color=colour, markersize=6.5, markeredgewidth=1.6, clip_on=False)
    point.set_markerfacecolor(colour if apart else theme.surface)


def name_rows(axes: Axes, names: Sequence[str], theme: Theme, *, narrow: bool) -> None:
    """Name the rows from the top down: beside the axis, or in a narrow figure above each."""
    axes.set_ylim(len(names) - 0.5, -0.75 if narrow else -0.6)
    if not narrow:
        axes.set_yticks(range(len(names)), list(names))
        return
    axes.set_yticks([])
    left = blended_transform_factory(axes.transAxes, axes.transData)
    for row, name in enumerate(names):
        text = axes.text(0, row - 0.36, name, transform=left, va="center", fontsize=8.5, color=theme.ink)
        text.set_bbox({"facecolor": theme.surface, "edgecolor": "none", "pad": 0.5})  # over lines that cross it
