"""How far models agree with labels, as PNG bytes.

Belongs here: the figure of contradicted labels. Does not: who contradicts what (evaluation), and looks (style.py).
"""

import numpy as np

from cry_pipeline.evaluation.contradictions import Contradicted
from cry_pipeline.reports.figures.forest import NARROW_INCHES
from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png


def by_probability(found: Contradicted, theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw recordings by the models' mean probability of their label, a panel for each label."""
    made = figure(NARROW_INCHES if narrow else 7.6, 3.9 if narrow else 2.7, theme)
    shape = (len(found.recordings), 1) if narrow else (1, len(found.recordings))
    panels = made.subplots(*shape, squeeze=False, sharex=True, sharey=True).ravel()
    for axes, (label, recordings), counts in zip(panels, found.recordings.items(), found.by_probability, strict=True):
        edges = np.linspace(0, 1, len(counts) + 1)
        colours = [theme.contrast if edge < 0.5 else theme.mark for edge in edges[:-1]]
        axes.bar(edges[:-1], counts, width=edges[1], align="edge", color=colours, alpha=0.85)
        axes.axvline(0.5, color=theme.muted, linewidth=1.2, linestyle=DASHED)
        axes.set_xlim(0, 1)
        bottom = axes is panels[-1] or not narrow
        title = f"labelled {label.replace('_', ' ')}: {recordings}"
        dress(axes, theme, title=title, x="models' mean probability of the label" if bottom else "", grid="y")
        axes.yaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel("recordings", fontsize=9, color=theme.muted)
    return png(made)
