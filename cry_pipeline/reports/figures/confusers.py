"""What a detector says of sounds that are no cries: a dot for each sound, rows of kinds; as PNG bytes.

Belongs here: the figure of confusers. Does not: rows as such (forest.py), and looks (style.py).
"""

from collections.abc import Sequence

import numpy as np

from cry_pipeline.reports.confused import AskedKind
from cry_pipeline.reports.figures.forest import NARROW_INCHES, name_rows, row_inches
from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png


def answers(kinds: Sequence[AskedKind], threshold: float, theme: Theme = LIGHT, *, narrow: bool = False) -> bytes:
    """Draw each sound of each kind at its probability of a cry, and the share that is called one; the control apart."""
    inches = NARROW_INCHES if narrow else 8
    made = figure(inches, row_inches(narrow=narrow) * (len(kinds) + 1.2) + 0.6, theme)
    axes = made.subplots()
    for row, kind in enumerate(kinds):
        beside = 0.16 * np.cos(np.arange(len(kind.probabilities)) * np.pi * (3 - np.sqrt(5)))  # so that dots show
        axes.plot(
            kind.probabilities,
            row + beside,
            "o",
            color=theme.mark if kind.control else theme.contrast,
            markersize=4,
            markeredgewidth=0,
            alpha=0.7,
            clip_on=False,
        )
        axes.text(1.03, row, f"{kind.share.value:.2f}", va="center", fontsize=9, color=theme.ink)
    axes.axvline(threshold, color=theme.muted, linewidth=1, linestyle=DASHED)
    name_rows(axes, [kind.words for kind in kinds], theme, narrow=narrow)
    axes.set(xlim=(-0.02, 1.02))
    cut = "\n" if narrow else " "
    dress(
        axes,
        theme,
        title="",
        x=f"probability of a cry, one dot a sound;{cut}at the right the share called one",
        grid="x",
    )
    return png(made)
