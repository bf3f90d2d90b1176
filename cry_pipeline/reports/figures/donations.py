"""Donations: what triage did week by week, and how a batch differs; as PNG bytes, narrow enough for a telephone.

Belongs here: these figures. Does not: computing anything (donations/), and how figures look (style.py).
"""

from collections.abc import Sequence
from datetime import date

import numpy as np
from matplotlib.ticker import MaxNLocator

from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png
from cry_pipeline.reports.happened import Batch, Week

WIDTH, HEIGHT, ROW = 3.4, 2.5, 0.24
"""Inches: of a figure, and of a bar's row."""
WEEKS = 26
"""The latest, which a figure shows."""


def weeks(of: Sequence[Week], theme: Theme = LIGHT) -> bytes:
    """Draw what triage did with the donations of each week, of which the latest comes first."""
    shown = list(of[:WEEKS])[::-1]
    made = figure(WIDTH, HEIGHT, theme)
    axes = made.subplots()
    places, bottom = np.arange(len(shown)), np.zeros(len(shown))
    for name, words, colour in (
        ("taken", "taken as a cry", theme.mark),
        ("person", "for a person", theme.contrast),
        ("set_aside", "set aside", theme.muted),
    ):
        counts = np.array([getattr(week, name) for week in shown])
        axes.bar(places, counts, bottom=bottom, width=0.8, color=colour, label=words)
        bottom += counts
    ticks = np.unique(np.linspace(0, len(shown) - 1, min(4, len(shown))).round().astype(int))
    axes.set_xticks(ticks, [f"{date.fromisoformat(shown[tick].start):%d %b}" for tick in ticks])
    axes.set_xlim(-0.6, max(len(shown) - 0.4, 3.6))
    axes.set_ylim(0, float(bottom.max()) * 1.45)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.legend(loc="upper left", ncols=1, fontsize=8, frameon=False, labelcolor=theme.ink)
    dress(axes, theme, title="Donations by week", y="donations", grid="y")
    return png(made)


def scores(batch: Batch, theme: Theme = LIGHT) -> bytes:
    """Draw the distribution of a batch's scores beside that of out-of-fold scores; both are there."""
    made = figure(WIDTH, HEIGHT, theme)
    axes = made.subplots()
    share = np.linspace(0, 1, len(batch.scores))
    axes.step(batch.reference, share, where="post", color=theme.muted, linestyle=DASHED, label="trained on")
    axes.step(batch.scores, share, where="post", color=theme.mark, linewidth=1.8, label="this batch")
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.legend(loc="upper left", fontsize=8, frameon=False, labelcolor=theme.ink)
    dress(axes, theme, title="Scores up to …", x="score of one fold model", y="share of recordings", grid="y")
    return png(made)


def distances(batch: Batch, theme: Theme = LIGHT) -> bytes:
    """Draw how far each thing that was compared is from what the champion was trained on; what drifted stands out."""
    compared = list(batch.compared)
    made = figure(WIDTH, 0.8 + ROW * len(compared), theme)
    axes = made.subplots()
    places = range(len(compared))
    colours = [theme.contrast if one.drifted else theme.mark for one in compared]
    axes.barh(places, [one.distance for one in compared], height=0.66, color=colours)
    for place, one in enumerate(compared):
        words = f" p {one.p_adjusted:.2g}{', drifted' if one.drifted else ''}"
        axes.text(one.distance, place, words, va="center", fontsize=8, color=theme.ink)
    axes.set_yticks(places, [one.name.replace("_", " ") for one in compared])
    axes.set_xlim(0, 1.35)
    axes.set_xticks([0, 0.5, 1])
    axes.invert_yaxis()
    dress(axes, theme, title="Distance, by donor", x="0: alike; p by Holm")
    return png(made)
