"""How figures look: colours for light and dark pages, axes without clutter, PNG bytes.

Belongs here: whatever all figures share. Does not: what a figure shows (the other modules here).
Figures are made without pyplot, so nothing global is kept, and threads may draw.
"""

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

DPI = 144
DASHED = (0, (4, 3))
COLOURS = 256
"""With these, figures of at most 8 × 5 inches stay below 60 kB: Dagster's event log keeps them for ever."""


@dataclass(frozen=True)
class Theme:
    """Colours of a page: surface and ink, and two marks that colour-blind readers tell apart (Okabe & Ito)."""

    surface: str
    ink: str
    muted: str
    line: str
    mark: str
    contrast: str
    shades: tuple[str, ...]

    @property
    def map(self) -> LinearSegmentedColormap:
        """Colour map of one hue, from the surface on; lightness alone carries the value."""
        return LinearSegmentedColormap.from_list("shades", self.shades)

    def ink_on(self, share: float) -> str:
        """Return the colour of text that can be read on the map's colour of ``share``, 0 (the surface) to 1."""
        red, green, blue, _ = self.map(share)
        return "#14171c" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "#f7f8fa"


LIGHT = Theme(
    "#ffffff", "#1f2328", "#656d76", "#d8dee4", "#0072b2", "#d55e00", ("#ffffff", "#9ecae1", "#2f7fb8", "#08306b")
)
DARK = Theme(
    "#161b22", "#e6edf3", "#9198a1", "#30363d", "#56b4e9", "#e69f00", ("#161b22", "#1f4f7a", "#3f93d1", "#c6e6ff")
)


def figure(width: float, height: float, theme: Theme) -> Figure:
    """Return an empty figure of ``width`` × ``height`` inches."""
    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor=theme.surface)


def dress(axes: Axes, theme: Theme, *, title: str, x: str = "", y: str = "", grid: str | None = None) -> None:
    """Title and label ``axes``; ``grid`` draws lines across the "x" or "y" axis."""
    axes.set_facecolor(theme.surface)
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=theme.ink)
    axes.set_xlabel(x, fontsize=9, color=theme.muted)
    axes.set_ylabel(y, fontsize=9, color=theme.muted)
    axes.tick_params(labelsize=9, colors=theme.ink, length=0)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(theme.line)
    if grid:
        axes.grid(axis=grid, color=theme.line, linewidth=0.8)  # type: ignore[arg-type]
        axes.set_axisbelow(True)


def png(made: Figure) -> bytes:
    """Return ``made`` as PNG with a palette, a third of the size of full colour; equal figures give equal bytes."""
    from PIL import Image

    canvas = FigureCanvasAgg(made)
    canvas.draw()
    pixels = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    # Coverage keeps rare colours, such as those of letters; a k-means step makes large areas exact, above all the
    # surface, which meets the page's.
    palette = pixels.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, kmeans=1, dither=Image.Dither.NONE)
    buffer = BytesIO()
    palette.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
