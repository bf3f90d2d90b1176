"""Counts: bars by name, histograms, and how many came when; as PNG bytes, narrow enough for a telephone.

Belongs here: figures of how many there are. Does not: results (intervals.py), and how figures look (style.py).
"""

import numpy as np
import pandas as pd
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num
from matplotlib.ticker import MaxNLocator

from cry_pipeline.reports.figures.style import Theme, dress, figure, png

WIDTH, HEIGHT, ROW = 3.4, 2.3, 0.27
"""Inches: of a figure, which a telephone shows as it is, and of a bar's row."""
BINS = 25
DAYS = 90
"""A longer time is counted by month."""


def bars(
    values: "pd.Series[float] | pd.Series[int]", title: str, theme: Theme, *, written: str = "{:,.0f}", x: str = ""
) -> bytes:
    """Draw a bar for each of ``values``, by its index, with the number ``written`` beside it."""
    made = figure(WIDTH, 0.7 + ROW * max(1, len(values)), theme)
    axes = made.subplots()
    rows = range(len(values))
    axes.barh(rows, values.to_numpy(np.float64), height=0.66, color=theme.mark)
    for row, value in zip(rows, values, strict=True):
        axes.text(value, row, f" {written.format(value)}", va="center", fontsize=9, color=theme.ink)
    axes.set_yticks(rows, [str(name) for name in values.index])
    axes.set_xlim(0, float(values.max()) * 1.25 if len(values) and values.max() > 0 else 1)
    axes.set_xticks([])
    axes.invert_yaxis()
    dress(axes, theme, title=title, x=x)
    axes.spines["bottom"].set_visible(False)
    return png(made)


def histogram(values: "pd.Series[float]", title: str, x: str, theme: Theme, *, least: float | None = None) -> bytes:
    """Draw how many of ``values``, of which there is one at least, lie where; the axis begins at ``least``, if given.

    The title says the median.
    """
    numbers = values.to_numpy(np.float64)
    low, high = numbers.min() if least is None else least, numbers.max()
    made = figure(WIDTH, HEIGHT, theme)
    axes = made.subplots()
    axes.hist(numbers, bins=np.linspace(low, max(high, low + 1e-6), BINS + 1), color=theme.mark)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    dress(axes, theme, title=f"{title}: median {np.median(numbers):.1f}", x=x, y="recordings", grid="y")
    return png(made)


def timeline(moments: "pd.Series[pd.Timestamp]", title: str, theme: Theme) -> bytes:
    """Draw how many of ``moments`` (UTC), of which there is one at least, fall on each day, or in each month."""
    plain = moments.dt.tz_convert("UTC").dt.tz_localize(None)
    monthly = (plain.max() - plain.min()).days > DAYS
    start = plain.dt.to_period("M" if monthly else "D").dt.start_time
    counts = start.value_counts().sort_index()
    made = figure(WIDTH, HEIGHT, theme)
    axes = made.subplots()
    days = date2num(counts.index.to_numpy())  # a width beside bare instants would be in their unit, microseconds
    axes.bar(days, counts.to_numpy(), width=25 if monthly else 0.8, align="edge", color=theme.mark)
    axes.xaxis_date()
    locator = AutoDateLocator(minticks=2, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    dress(axes, theme, title=f"{title}, by {'month' if monthly else 'day'}", y="recordings", grid="y")
    return png(made)
