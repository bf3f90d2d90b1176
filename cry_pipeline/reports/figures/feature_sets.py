"""Pictures that compare feature sets: the same moments of the same recordings on the same axes and colours.

Belongs here: figures of several feature sets. Does not: a picture of one (data.py), numbers about feature
sets (../feature_sets.py), and how figures look (style.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import frequencies_hz
from cry_pipeline.features.store.rows import FeatureRows
from cry_pipeline.reports.figures.style import LIGHT, Theme, dress, figure, png

SECONDS = 3.0
"""Of each recording its loudest so many seconds are shown: frames are then wide enough to be seen."""
OVERVIEW_SECONDS = 1.2
MOST_IN_OVERVIEW = 4
OVERVIEW_COLUMNS = 80
"""With these even noise stays below 60 kB."""
ROWS = 128
SHADES = 40
STEP_DB = 10
DEVIATIONS = 2.5
TICKS_HZ = (0, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 64_000)
IMAGES = {"spectrogram": "spectrogram (dB)", "mel": "mel (dB)", "mfcc": "MFCC (sd)"}
MEL_HZ, MEL_STEP = 700.0, 2595.0


@dataclass(frozen=True)
class Imaged:
    """A feature set with its features of the example recordings."""

    name: str
    spec: FeatureSetSpec
    rows: FeatureRows

    @property
    def hop_s(self) -> float:
        """Time between frames."""
        return self.spec.hop_samples / self.spec.sample_rate_hz


@dataclass(frozen=True)
class Scale:
    """What all pictures share: top of the frequency axis and dB by kind, coefficients, and the excerpts drawn."""

    top_hz: dict[str, float]
    db: dict[str, tuple[float, float]]
    coefficients: int
    starts_s: tuple[float, ...]
    seconds: float


def common_scale(sets: Sequence[Imaged], seconds: float = SECONDS) -> Scale:
    """Return the scale on which each of ``sets`` can be seen whole, in excerpts of ``seconds``.

    A kind's range goes from the 5th to the 99.9th percentile of what is shown of it, over all sets together,
    rounded out to tens.
    """
    first = sets[0]
    starts = tuple(_loudest_s(first.rows.of("mel", index), first.hop_s, seconds) for index in range(len(first.rows)))
    db = {}
    for kind in ("spectrogram", "mel"):
        shown = [
            _excerpt(imaged, kind, index, start, seconds).ravel()
            for imaged in sets
            for index, start in enumerate(starts)
        ]
        low, high = np.percentile(np.concatenate(shown), [5, 99.9])
        db[kind] = (float(np.floor(low / STEP_DB) * STEP_DB), float(np.ceil(high / STEP_DB) * STEP_DB))
    top = {
        "spectrogram": max(imaged.spec.sample_rate_hz for imaged in sets) / 2,
        "mel": max(imaged.spec.fmax_hz for imaged in sets),
    }
    return Scale(top, db, max(imaged.rows.arrays["mfcc"].shape[1] for imaged in sets), starts, seconds)


def feature_set_images(imaged: Imaged, scale: Scale, names: Sequence[str], theme: Theme = LIGHT) -> bytes:
    """Draw spectrogram, mel and MFCC (rows) of each example recording (columns), called ``names``."""
    made = figure(9.6, 5.2, theme)
    grid = made.subplots(len(IMAGES), len(names), squeeze=False, sharex="col")
    for row, (kind, label) in enumerate(IMAGES.items()):
        for column in range(len(names)):
            _draw(grid[row, column], imaged, kind, column, scale)
            title = names[column] if row == 0 else ""
            last = row == len(IMAGES) - 1
            dress(grid[row, column], theme, title=title, x="time (s)" if last else "", y="" if column else _axis(kind))
        _bar(made, list(grid[row]), kind, label, scale, theme)
    return png(made)


def overview(sets: Sequence[Imaged], index: int, name: str, theme: Theme = LIGHT) -> bytes:
    """Draw the mel images of one recording by feature set, of at most four; below 60 kB, for Dagster's metadata."""
    shown, scale = sets[:MOST_IN_OVERVIEW], common_scale(sets, OVERVIEW_SECONDS)
    made = figure(5.2, 0.7 + 1.35 * len(shown), theme)
    grid = made.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
    for row, imaged in enumerate(shown):
        _draw(grid[row], imaged, "mel", index, scale, most=OVERVIEW_COLUMNS)
        title = f"{imaged.name}: recording {name}" if row == 0 else imaged.name
        dress(grid[row], theme, title=title, x="time (s)" if row == len(shown) - 1 else "", y=_axis("mel"))
    _bar(made, list(grid), "mel", IMAGES["mel"], scale, theme)
    return png(made)


def _loudest_s(level_db: NDArray, hop_s: float, seconds: float) -> float:
    """Return where the ``seconds`` of the highest mean level begin, of values [frames, bins] in dB."""
    levels = level_db.astype(np.float64).mean(axis=1)
    sums = np.concatenate([[0.0], np.cumsum(levels)])
    window = min(round(seconds / hop_s), len(levels))
    return float(np.argmax(sums[window:] - sums[:-window])) * hop_s


def _excerpt(imaged: Imaged, kind: str, index: int, start_s: float, seconds: float) -> NDArray[np.float32]:
    first = round(start_s / imaged.hop_s)
    values = imaged.rows.of(kind, index).astype(np.float32)
    if kind == "mfcc":  # by itself, each coefficient is of another size
        values = (values - values.mean(axis=0)) / np.maximum(values.std(axis=0), 1e-6)
    return values[first : first + round(seconds / imaged.hop_s)]


def _draw(axes: Axes, imaged: Imaged, kind: str, index: int, scale: Scale, most: int = 10**6) -> None:
    """Draw an excerpt of one kind of one recording; frames are averaged until at most ``most`` are left."""
    start_s = scale.starts_s[index]
    values = _excerpt(imaged, kind, index, start_s, scale.seconds)
    left = (round(start_s / imaged.hop_s) - 0.5) * imaged.hop_s
    right = left + len(values) * imaged.hop_s
    starts = np.arange(0, len(values), -(-len(values) // most))
    values = np.add.reduceat(values, starts) / np.diff(starts, append=len(values))[:, None]
    if kind == "mfcc":
        image, bottom, top, limit = values.T, -0.5, values.shape[1] - 0.5, scale.coefficients - 0.5
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    else:
        top_hz = scale.top_hz[kind]
        image, bottom, top = _by_hertz(values, imaged.spec, kind, top_hz), 0.0, float(_mel(top_hz))
        limit = top
        _tick_hertz(axes, top_hz)
    axes.imshow(
        image,
        interpolation="nearest",
        origin="lower",
        aspect="auto",
        extent=(left, right, bottom, top),
        cmap=_colours(kind),
        norm=_norm(kind, scale),
    )
    axes.set(xlim=(start_s, start_s + scale.seconds), ylim=(bottom, limit))


def _by_hertz(values: NDArray, spec: FeatureSetSpec, kind: str, top_hz: float) -> NDArray:
    """Return ``values`` [frames, bins] as [rows, frames] on the common axis, NaN where the feature set has nothing."""
    centres = _mel(frequencies_hz(spec, kind))
    places = (np.arange(ROWS) + 0.5) / ROWS * _mel(top_hz)
    nearest = np.abs(places[:, None] - centres).argmin(axis=1)
    image = values.T[nearest]
    low, high = (spec.fmin_hz, spec.fmax_hz) if kind == "mel" else (0.0, spec.sample_rate_hz / 2)
    image[(places < _mel(low)) | (places > _mel(high))] = np.nan
    return image


def _mel(hertz: NDArray | float) -> NDArray:
    """Return O'Shaughnessy's mel scale, 2595·log₁₀(1 + f/700): the axis' spacing, whatever the set's own scale."""
    return MEL_STEP * np.log10(1 + np.asarray(hertz) / MEL_HZ)


def _tick_hertz(axes: Axes, top_hz: float) -> None:
    ticks = [hertz for hertz in TICKS_HZ if hertz <= top_hz]
    # The lowest give way where a high top leaves them no room.
    ticks = ticks[:1] + [high for low, high in pairwise(ticks) if _mel(high) - _mel(low) > 0.1 * _mel(top_hz)]
    axes.set_yticks([float(_mel(hertz)) for hertz in ticks], [f"{hertz:,}" for hertz in ticks])


def _axis(kind: str) -> str:
    return "coefficient" if kind == "mfcc" else "frequency (Hz)"


def _colours(kind: str):
    # Both grow evenly in lightness from a value to its neighbour, so that colour-blind readers see the same order.
    return colormaps["RdBu_r" if kind == "mfcc" else "magma"].resampled(SHADES)


def _norm(kind: str, scale: Scale) -> Normalize:
    return Normalize(-DEVIATIONS, DEVIATIONS) if kind == "mfcc" else Normalize(*scale.db[kind])


def _bar(made: Figure, axes: list[Axes], kind: str, label: str, scale: Scale, theme: Theme) -> None:
    bar = made.colorbar(ScalarMappable(_norm(kind, scale), _colours(kind)), ax=axes, pad=0.01, fraction=0.04, aspect=14)
    bar.set_label(label, fontsize=9, color=theme.muted)
    bar.ax.tick_params(labelsize=8, colors=theme.ink, length=0)
    bar.outline.set_visible(False)  # type: ignore[operator]
