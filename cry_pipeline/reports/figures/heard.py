"""What people heard: numbers with their intervals, the champion's beside those of the listeners; as PNG bytes.

Belongs here: the figure of re-listening. Does not: rows of intervals as such (forest.py), and looks (style.py).
"""

from collections.abc import Sequence

from cry_pipeline.reports.figures.forest import NARROW_INCHES, draw_interval, name_rows, row_inches
from cry_pipeline.reports.figures.style import LIGHT, Theme, dress, figure, png
from cry_pipeline.reports.heard import Finding

NAMES = {"auc": "", "kappa": "κ of ", "share": "share of "}


def findings(findings: Sequence[Finding], theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw each finding that has a value, from the top down; those of the champion are full, all others hollow."""
    shown = [(finding, finding.at) for finding in findings if finding.at is not None]
    inches = NARROW_INCHES if narrow else 8
    made = figure(inches, row_inches(narrow=narrow) * (len(shown) + 1.2) + 0.6, theme)
    axes = made.subplots()
    for row, (finding, at) in enumerate(shown):
        draw_interval(axes, row, at, theme, apart=finding.what.startswith("the champion"))
        words = f"{at.value:.3f}" if narrow else f"{at.value:.3f}  [{at.low:.3f}, {at.high:.3f}]"
        axes.text(1.03, row, words, va="center", fontsize=8.5, color=theme.ink)
    name_rows(axes, [f"{NAMES[finding.measure]}{finding.what}" for finding, _ in shown], theme, narrow=narrow)
    axes.set(xlim=(min(0.0, *(at.low for _, at in shown)), 1))
    cut = "\n" if narrow else " "
    dress(axes, theme, title="", x=f"AUC, or agreement beyond chance (κ);{cut}95 % interval over donors", grid="x")
    return png(made)
