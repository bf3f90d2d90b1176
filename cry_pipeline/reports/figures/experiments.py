"""Pictures of one experiment's page beyond its confusions and recalls: null, calibration, learning, mistakes.

Belongs here: figures of one run for people who doubt it. Does not: figures that the leaderboard and Dagster show,
too (intervals.py), and how figures look (style.py).
"""

from collections.abc import Mapping, Sequence
from io import BytesIO

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from numpy.typing import NDArray

from cry_pipeline.evaluation.findings import ReliabilityBin
from cry_pipeline.evaluation.records import METRIC_NAMES, SMALLEST_SHOWN, Evidence
from cry_pipeline.reports.figures.style import DASHED, LIGHT, Theme, dress, figure, png

PANELS = 5
SHADES = 48
MOST_COLUMNS = 240


def null(evidence: Evidence, theme: Theme = LIGHT) -> bytes:
    """Draw what the headline metric is if labels are dealt between donors at random, and where the run came out."""
    dealt, at = evidence.null, evidence.headline
    counts = np.array(dealt.histogram)
    edges = np.linspace(dealt.histogram_low, dealt.histogram_high, len(counts) + 1)
    made = figure(6.4, 2.9, theme)
    axes = made.subplots()
    # A model that gives all the same answer has one value, and one bin.
    width = max(float(edges[1] - edges[0]), 0.004)
    axes.bar(edges[:-1], counts, width=width, align="edge", color=theme.muted, alpha=0.55)
    axes.axvline(dealt.high, color=theme.muted, linewidth=1.2, linestyle=DASHED)
    top = float(counts.max()) * 1.3
    height = float(counts.max()) * 1.14
    axes.plot([at.low, at.high], [height] * 2, color=theme.mark, linewidth=2.5, solid_capstyle="round")
    axes.plot(at.value, height, "o", color=theme.mark, markersize=7)
    axes.plot([at.value] * 2, [0, height], color=theme.mark, linewidth=1)
    axes.set(ylim=(0, top), xlim=(min(edges[0], at.low) - 0.02, max(edges[-1], at.high) + 0.02))
    axes.set_yticks([])
    name = METRIC_NAMES[evidence.headline_metric]
    made_of = (
        "models trained on exchanged labels" if dealt.kind == "retrained" else "the same answers, exchanged labels"
    )
    times = dealt.permutations - dealt.permutations_lost
    p = f"p < {SMALLEST_SHOWN}" if dealt.p_value < SMALLEST_SHOWN else f"p = {dealt.p_value:.3f}"
    title = f"{name} of this run (blue, with interval) and of\n{made_of}, {times:,} times (grey): {p}"
    dress(axes, theme, title=title, x=f"{name}; dashed: 1 in 20 of the grey is above")
    return png(made)


def reliability(evidence: Evidence, theme: Theme = LIGHT) -> bytes:
    """Draw how often predictions came true against the probability they were given, raw and calibrated."""
    calibration = evidence.calibration
    parts = [("as predicted", calibration.as_predicted)]
    if evidence.calibrated:
        parts.append(("calibrated", evidence.calibrated))
    made = figure(4.3 * len(parts), 4.3, theme)
    panels = made.subplots(1, len(parts), squeeze=False, sharey=True)[0]
    for axes, (name, held) in zip(panels, parts, strict=True):
        _reliability(axes, held.curve, theme)
        title = f"{name.capitalize()}: ECE {held.ece.value:.3f}"
        dress(
            axes, theme, title=title, x=calibration.of, y="share that is true" if axes is panels[0] else "", grid="both"
        )
    return png(made)


def _reliability(axes: Axes, bins: Sequence[ReliabilityBin], theme: Theme) -> None:
    axes.plot([0, 1], [0, 1], color=theme.contrast, linewidth=1.2, linestyle=DASHED)
    most = max(step.predictions for step in bins)
    for step in bins:
        axes.plot([step.probability] * 2, [step.rate.low, step.rate.high], color=theme.mark, linewidth=2, alpha=0.6)
        size = 3 + 8 * (step.predictions / most) ** 0.5
        axes.plot(step.probability, step.rate.value, "o", color=theme.mark, markersize=size)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")


def abstention(evidence: Evidence, theme: Theme = LIGHT) -> bytes:
    """Draw accuracy, majority rate and UAR of the surest predictions against the share that is given out."""
    held = evidence.calibrated or evidence.calibration.as_predicted
    points = sorted(held.abstention, key=lambda point: point.coverage)
    coverage = [point.coverage for point in points]
    made = figure(7.6, 3.4, theme)
    left, right = made.subplots(1, 2, sharex=True)
    colour = theme.mark
    for axes, name in ((left, "accuracy"), (right, "uar")):
        measured = [getattr(point, name) for point in points]
        low, value, high = ([getattr(interval, end) for interval in measured] for end in ("low", "value", "high"))
        axes.fill_between(coverage, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(coverage, value, "o-", color=colour, markersize=3.5, linewidth=1.8)
        axes.set(xlim=(1.02, 0), ylim=(-0.02, 1.02))
    left.plot(
        coverage, [point.majority_rate for point in points], color=theme.contrast, linestyle=DASHED, linewidth=1.4
    )
    right.plot(coverage, [1 / point.classes for point in points], color=theme.contrast, linestyle=DASHED, linewidth=1.4)
    x = "share of predictions given"
    dress(left, theme, title="Accuracy; dashed: majority class", x=x, grid="both")
    dress(right, theme, title="UAR of the classes left; dashed: chance", x=x, grid="both")
    return png(made)


def learning_curves(
    histories: Mapping[str, pd.DataFrame], best_epochs: Mapping[str, int], theme: Theme = LIGHT
) -> bytes:
    """Draw training and inner validation loss of each fold by epoch, and the epoch whose weights were kept."""
    rows = -(-len(histories) // PANELS)
    columns = min(len(histories), PANELS)
    made = figure(max(3.2, 1.75 * columns + 0.4), 1.0 + 1.45 * rows, theme)
    panels = made.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for axes, (name, history) in zip(panels.flat, histories.items(), strict=False):
        axes.plot(history["epoch"], history["train_loss"], color=theme.muted, linewidth=1.4)
        axes.plot(history["epoch"], history["validation_loss"], color=theme.mark, linewidth=1.8)
        kept = history[history["epoch"] == best_epochs.get(name)]
        axes.plot(kept["epoch"], kept["validation_loss"], "o", color=theme.contrast, markersize=5, clip_on=False)
        dress(axes, theme, title=f"fold {name}", grid="y")
        axes.title.set_fontweight("normal")
        axes.xaxis.get_major_locator().set_params(integer=True)
    for axes in panels.flat[len(histories) :]:
        axes.set_visible(False)
    made.supxlabel("epoch", fontsize=9, color=theme.muted)
    words = "grey: training loss    blue: loss on inner held-out donors    dot: weights kept"
    made.suptitle(words, fontsize=9, color=theme.muted)
    return png(made)


def spectrogram(values: NDArray) -> bytes:
    """Return a mel spectrogram, ``values`` [frames, mels] in dB, as a bare PNG, low frequencies below.

    One picture serves light and dark pages, and axes are left to the page: a figure would take fifty times as long.
    """
    from PIL import Image

    values = np.asarray(values, dtype=np.float32)
    starts = np.arange(0, len(values), -(-len(values) // MOST_COLUMNS))
    pooled = np.add.reduceat(values, starts) / np.diff(starts, append=len(values))[:, None]
    low, high = np.percentile(pooled, [2, 99.8])
    shares = np.clip((pooled.T[::-1] - low) / max(high - low, 1e-3), 0, 1)
    image = Image.fromarray(np.round(shares * (SHADES - 1)).astype(np.uint8), mode="P")
    image.putpalette((colormaps["magma"](np.linspace(0, 1, SHADES))[:, :3] * 255).round().astype(np.uint8).tobytes())
    buffer = BytesIO()
    image.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
