"""Pictures for who acts on a model's answers: the decision curve, and the headline metric by subgroup.

Belongs here: figures of one run's page about what it is worth, and for whom. Does not: its other figures
(experiments.py), rows of intervals as such (forest.py), and how figures look (style.py).
"""

from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence
from cry_pipeline.reports.figures.forest import NARROW_INCHES, draw_interval, name_rows, row_inches
from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png

PREFIXES = {"app_version": "version "}
LOWEST = -0.1
"""Net benefit that the figure shows at least; hearing everything falls far below it."""


def decision_curve(evidence: Evidence, theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw the net benefit of hearing what the model gives, from each threshold on, beside hearing all and none.

    Raises:
        ValueError: the run has no decisions, because it has not two classes.
    """
    held = evidence.decisions
    if held is None:
        raise ValueError(f"{evidence.provenance.experiment} has no decision curve: there are not two classes.")
    thresholds = [step.threshold for step in held.curve]
    low, value, high = ([getattr(step.net_benefit, end) for step in held.curve] for end in ("low", "value", "high"))
    made = figure(NARROW_INCHES if narrow else 6.4, 3.4, theme)
    axes = made.subplots()
    axes.axhline(0, color=theme.muted, linewidth=1.4, label="hear nothing")
    everything = [step.hear_all for step in held.curve]
    axes.plot(thresholds, everything, color=theme.contrast, linewidth=1.4, linestyle=DASHED, label="hear everything")
    axes.fill_between(thresholds, low, high, color=theme.mark, alpha=0.2, linewidth=0)
    axes.plot(
        thresholds, value, "o-", color=theme.mark, markersize=3.5, linewidth=1.8, label="hear what the model gives"
    )
    axes.set(xlim=(0, 1), ylim=(LOWEST, max(*high, held.share) + 0.05))
    axes.legend(loc="upper right", frameon=False, fontsize=8.5, labelcolor=theme.ink)
    title = "What it is worth to hear only what the model gives"
    x = "threshold: heard from this probability on"
    dress(axes, theme, title="" if narrow else title, x=x, y="net benefit", grid="both")
    return png(made)


def subgroups(evidence: Evidence, theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw the headline metric of each group that has one, with its interval, beside that of all recordings.

    Raises:
        ValueError: no group has a number.
    """
    shown: list[tuple[str, Interval]] = [
        (f"{PREFIXES.get(group.of, '')}{group.name} ({group.donors} donors)", group.headline)
        for group in evidence.subgroups
        if group.headline
    ]
    if not shown:
        raise ValueError(f"{evidence.provenance.experiment} has no subgroup with a number.")
    made = figure(NARROW_INCHES if narrow else 6.4, 1.2 + row_inches(narrow=narrow) * len(shown), theme)
    axes = made.subplots()
    axes.axvline(evidence.headline.value, color=theme.muted, linewidth=1.4)
    axes.axvline(evidence.chance, color=theme.contrast, linewidth=1.2, linestyle=DASHED)
    for row, (_, at) in enumerate(shown):
        draw_interval(axes, row, at, theme)
    name_rows(axes, [name for name, _ in shown], theme, narrow=narrow)
    least = min(evidence.chance, *(at.low for _, at in shown))
    axes.set_xlim(least - 0.02, max(1.0, *(at.high for _, at in shown)) + 0.02)
    name, cut = METRIC_NAMES[evidence.headline_metric], "\n" if narrow else " "
    x = f"{name}, 95 % interval over donors;{cut}line: all recordings, dashed: chance"
    dress(axes, theme, title=f"{name} by subgroup", x=x, grid="x")
    return png(made)
