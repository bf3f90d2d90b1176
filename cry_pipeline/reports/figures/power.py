"""How much data: power by the number of donors, and a detector's AUC by those that it learned from; as PNG bytes.

Belongs here: these two figures. Does not: how figures look (style.py).
"""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import NullLocator

from cry_pipeline.evaluation.learning_curve import LearningCurve
from cry_pipeline.evaluation.power import DESIGNS, WANTED, Power
from cry_pipeline.reports.figures.forest import NARROW_INCHES
from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png

DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))
MARKS = ("o", "D", "s", "^")


def powers(power: Power, theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw power by the number of donors: a panel for each way of collecting, a line for each true UAR."""
    made = figure(NARROW_INCHES if narrow else 8.4, 6.4 if narrow else 3.6, theme)
    panels = made.subplots(len(DESIGNS), 1) if narrow else made.subplots(1, len(DESIGNS), sharey=True)
    for axes, design in zip(panels, DESIGNS, strict=True):
        curves = [curve for curve in power.curves if curve.design == design]
        for curve, dashes in zip(reversed(curves), DASHES, strict=True):
            axes.plot(
                power.asked, curve.power, color=theme.mark, linewidth=2, linestyle=dashes, label=f"{curve.uar:.2f}"
            )
        axes.axhline(WANTED, color=theme.muted, linewidth=1.0, linestyle=DASHED)
        axes.axvline(power.donors, color=theme.contrast, linewidth=1.4)
        axes.text(power.donors, 1.05, f" now: {power.donors:,}", color=theme.contrast, fontsize=8.5, va="bottom")
        axes.set(xscale="log", ylim=(-0.02, 1.14), yticks=[0, 0.2, 0.4, 0.6, 0.8, 1])
        _name_donors(axes, power.asked[::2])
        cut = "\n" if narrow else " "
        title = "as donated until now" if design == "as donated" else "balanced:" + cut + "each reason as often"
        dress(axes, theme, title=title, x="donors", y="power", grid="y")
    legend = panels[-1].legend(title="true UAR", frameon=False, fontsize=8.5, labelcolor=theme.ink, loc="lower right")
    legend.get_title().set(color=theme.muted, fontsize=8.5)
    return png(made)


def learning(curves: Sequence[LearningCurve], theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw the AUC of each detector by the donors that it learned from, with intervals."""
    made = figure(NARROW_INCHES if narrow else 6.4, 3.8, theme)
    axes = made.subplots()
    for place, curve in enumerate(curves):
        mark = MARKS[place % len(MARKS)]
        colour = theme.contrast if place % 2 else theme.mark
        donors, values = [point.donors for point in curve.points], [point.auc.value for point in curve.points]
        shifted = [donor * (1 + 0.03 * place) for donor in donors]
        axes.plot(
            shifted,
            values,
            mark,
            color=colour,
            linestyle="solid",
            markersize=6,
            linewidth=2,
            label=curve.model.replace("_", " "),
        )
        axes.vlines(
            shifted,
            [point.auc.low for point in curve.points],
            [point.auc.high for point in curve.points],
            color=colour,
            linewidth=1.6,
            alpha=0.6,
        )
    axes.set(xscale="log")
    _name_donors(axes, [round(point.donors) for point in curves[0].points])
    axes.legend(frameon=False, fontsize=8.5, labelcolor=theme.ink, loc="lower right")
    cut = "\n" if narrow else " "
    dress(axes, theme, title="", x=f"donors that a fold's model learned from;{cut}95 % intervals", y="AUC", grid="y")
    return png(made)


def _name_donors(axes: Axes, donors: Sequence[int]) -> None:
    axes.set_xticks(list(donors), [f"{donor:,}" for donor in donors])
    axes.xaxis.set_minor_locator(NullLocator())
