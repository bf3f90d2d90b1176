"""Pictures of what models are trained on: recordings, folds, features; as PNG bytes.

Belongs here: figures for a person who asks what the data look like. Does not: results (intervals.py), and how
figures look (style.py).
"""

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cry_pipeline.folds.splitting import summarise_folds
from cry_pipeline.folds.words import tested
from cry_pipeline.reports.figures.style import LIGHT, Theme, dress, figure, png

COLUMNS = 240
ROWS = 130
SHADES = 48
TICKS_HZ = (16_000, 8000, 4000, 2000, 1000, 500, 250, 125)
ROOM = 0.06
"""Columns, rows and shades keep an image of a recording small; ticks are at least this share of the axis apart."""


def recordings_overview(recordings: pd.DataFrame, by: str = "reason", theme: Theme = LIGHT) -> bytes:
    """Draw how many recordings and donors each value of column ``by`` has, and how long recordings are.

    Args:
        recordings: a manifest or cohort, with the columns donor, duration_s and ``by``.
        by: the column to count, ``reason`` of a manifest or ``label`` of a cohort.
        theme: colours.
    """
    counts = recordings.groupby(by).agg(recordings=("donor", "size"), donors=("donor", "nunique"))
    counts = counts.sort_values("recordings", ascending=False)
    made = figure(8, max(2.6, 1.2 + 0.32 * len(counts)), theme)
    left, right = made.subplots(1, 2, width_ratios=[3, 2])
    left.barh(range(len(counts)), counts["recordings"], height=0.66, color=theme.mark)
    for row, (number, donors) in enumerate(zip(counts["recordings"], counts["donors"], strict=True)):
        left.text(number, row, f" {number} of {donors} donors", va="center", fontsize=8.5, color=theme.ink)
    left.set_yticks(range(len(counts)), [str(name).replace("_", " ") for name in counts.index])
    left.set_xlim(0, max(counts["recordings"], default=1) * 1.55)
    left.set_xticks([])
    left.invert_yaxis()
    donors = recordings["donor"].nunique()
    dress(left, theme, title=f"{len(recordings)} recordings of {donors} donors", x="recordings")
    left.spines["bottom"].set_visible(False)
    duration = recordings["duration_s"].to_numpy(np.float64)
    right.hist(duration, bins=np.linspace(0, duration.max(initial=1.0), 25), color=theme.mark)
    title = f"Duration: median {np.median(duration):.1f} s" if duration.size else "Duration"
    dress(right, theme, title=title, x=f"s ({duration.sum() / 60:.0f} minutes in all)", y="recordings", grid="y")
    return png(made)


def fold_classes(folds: pd.DataFrame, theme: Theme = LIGHT) -> bytes:
    """Draw how many recordings of each class every fold tests; a class that a fold lacks stands out."""
    summary = summarise_folds(folds)
    repeats = folds["repeat"].nunique()
    totals = tested(folds)["label"].value_counts() // repeats
    counts = summary[totals.index.tolist()].to_numpy()
    made = figure(max(5.0, 2.2 + 1.05 * len(totals)), 1.3 + 0.3 * len(counts), theme)
    axes = made.subplots()
    shades = 0.7 * counts / counts.max(axis=0)
    axes.imshow(shades, cmap=theme.map, vmin=0, vmax=1, aspect="auto")
    for row, column in np.ndindex(*counts.shape):
        number, ink = counts[row, column], theme.ink_on(shades[row, column])
        weight, ink = ("normal", ink) if number else ("bold", theme.contrast)
        axes.text(column, row, str(number), ha="center", va="center", fontsize=9, color=ink, fontweight=weight)
    axes.set_xticks(range(len(totals)), [f"{name}\n({total})".replace("_", " ") for name, total in totals.items()])
    names = summary["fold"].astype(str)
    if repeats > 1:
        names = summary["repeat"].astype(str) + "-" + names
    rows = [f"{name} ({donors} donors)" for name, donors in zip(names, summary["donors"], strict=True)]
    axes.set_yticks(range(len(counts)), rows)
    axes.xaxis.tick_top()
    title = f"Recordings tested by each fold, {totals.sum()} in all"
    dress(axes, theme, title=title, y="repeat-fold" if repeats > 1 else "fold")
    axes.spines["bottom"].set_visible(False)
    return png(made)


def feature_image(
    values: NDArray, *, hop_s: float, title: str, frequencies_hz: NDArray | None = None, theme: Theme = LIGHT
) -> bytes:
    """Draw one recording's feature over time, averaged to at most 240 columns and 130 rows.

    Args:
        values: [frames, bins], in dB for a spectrogram or mel spectrogram.
        hop_s: time between frames.
        title: what it is, and of which recording.
        frequencies_hz: centre of each bin [bins], rising; None for MFCC, whose bins are coefficients.
        theme: colours.
    """
    values = np.asarray(values, dtype=np.float32)
    frames, bins = values.shape
    pooled, per_column = _pool(values, COLUMNS)
    pooled, per_row = _pool(pooled.T, ROWS)
    label, unit = "frequency (Hz)", "dB"
    if frequencies_hz is None:
        label, unit = "coefficient", "standard deviations from its mean"
        pooled = (pooled - pooled.mean(axis=1, keepdims=True)) / np.maximum(pooled.std(axis=1, keepdims=True), 1e-6)
    made = figure(7.2, 3.2, theme)
    axes = made.subplots()
    low, high = np.percentile(pooled, [1, 99.8])
    shown = axes.imshow(
        pooled,
        interpolation="nearest",
        origin="lower",
        aspect="auto",
        extent=(-hop_s / 2, (per_column * pooled.shape[1] - 0.5) * hop_s, -0.5, per_row * len(pooled) - 0.5),
        cmap=colormaps["magma"].resampled(SHADES),
        vmin=low,
        vmax=high,
    )
    axes.set(xlim=(-hop_s / 2, (frames - 0.5) * hop_s), ylim=(-0.5, bins - 0.5))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if frequencies_hz is not None:
        axes.set_yticks(*_ticks_hz(frequencies_hz))
    dress(axes, theme, title=title, x="time (s)", y=label)
    bar = made.colorbar(shown, ax=axes, pad=0.015, fraction=0.05)
    bar.set_label(unit, fontsize=9, color=theme.muted)
    bar.ax.tick_params(labelsize=8, colors=theme.ink, length=0)
    bar.outline.set_visible(False)  # type: ignore[operator]
    return png(made)


def _pool(values: NDArray, most: int) -> tuple[NDArray, int]:
    """Average neighbouring rows so that at most ``most`` are left; returns (rows, how many were averaged)."""
    factor = -(-len(values) // most)
    starts = np.arange(0, len(values), factor)
    return np.add.reduceat(values, starts) / np.diff(starts, append=len(values))[:, None], factor


def _ticks_hz(frequencies_hz: NDArray) -> tuple[list[float], list[str]]:
    """Return (positions in bins, labels) of round frequencies, from the highest down, where there is room."""
    bins = len(frequencies_hz)
    places, labels = [], []
    for hz in TICKS_HZ:
        place = float(np.interp(hz, frequencies_hz, np.arange(bins)))
        if frequencies_hz[0] <= hz <= frequencies_hz[-1] and (not places or places[-1] - place > ROOM * bins):
            places.append(place)
            labels.append(f"{hz:,}")
    return places, labels
