"""Pages of the site: pictures for light and dark as data URIs, templates filled strictly, files written whole.

Belongs here: what all reports' pages share, their navigation among it. Does not: what a page says (its template)
and shows (its module).
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from cry_pipeline.artefacts import is_current, write_html

if TYPE_CHECKING:
    from cry_pipeline.reports.figures.style import Theme

CSS_DPI = 96
PAGES = MappingProxyType(
    {
        "index.html": "Overview",
        "leaderboard.html": "Leaderboard",
        "model_comparison.html": "Model comparison",
        "leakage_ladder.html": "Leakage ladder",
        "hybrid_ablation.html": "Hybrid ablation",
        "how_much_data.html": "How much data",
        "feature_sets.html": "Feature sets",
        "compare.html": "Compare",
        "champion.html": "Champion",
        "confusers.html": "Confusers",
        "manifest.html": "Recordings",
        "flow.html": "From file to test",
        "donations.html": "Donations",
        "live.html": "Live evidence",
        "relistening.html": "Re-listening",
        "contradicted_labels.html": "Contradicted labels",
        "store.html": "Feature store",
        "checklist.html": "Checklist",
    }
)
"""The pages that every page leads to, by their file in the folder of reports, in the order of the navigation."""
INDEX = "index.html"
"""The site's first page."""
EXPERIMENTS = "experiments"
"""The folder, beside these pages, of one page for each experiment."""


class Picture(NamedTuple):
    """A figure for light and for dark pages, as data URIs, with its width in CSS pixels and its words.

    ``narrow`` is the same for small screens; where there is none, the figure keeps its size there and can be moved.
    """

    light: str
    dark: str
    width: int
    words: str
    narrow: "Picture | None" = None


def picture(draw: "Callable[[Theme], bytes]", words: str, narrow: "Callable[[Theme], bytes] | None" = None) -> Picture:
    """Return the figure that ``draw`` makes, as PNG bytes, in both themes; ``words`` are for who cannot see it.

    ``narrow`` draws it for small screens, at most 3.4 inches wide.
    """
    from cry_pipeline.reports.figures.style import DARK, DPI, LIGHT

    light, dark = draw(LIGHT), draw(DARK)
    # A PNG holds its width in bytes 16 to 19; figures are drawn finer than CSS pixels, for sharp screens.
    width = int.from_bytes(light[16:20], "big") * CSS_DPI // DPI
    return Picture(data_uri(light), data_uri(dark), width, words, picture(narrow, words) if narrow else None)


def fill(template: str, *, page: str = "", root: str = "", **values: Any) -> str:
    """Return the page that ``template`` of ``templates/`` makes of ``values``; a value it lacks raises.

    ``page`` is the page's own file among :data:`PAGES`, if it is one, and ``root`` the way from the page's folder to
    theirs: empty, or ``../``. All links are relative, so that the folder can be moved, sent or put on a server.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cry_pipeline.reports"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["source_hash"] = source_hash
    return environment.get_template(template).render(
        page=page, root=root, pages=PAGES, experiments=EXPERIMENTS, **values
    )


def write_page(path: Path, digest: str, make: Callable[[], str]) -> bool:
    """Write the page that ``make`` returns, with its provenance, unless it is current; returns whether it was.

    A page whose own file was changed, or that was made from anything else than what ``digest`` stands for, is made
    again.
    """
    if is_current(path, digest):
        return True
    write_html(path, make(), digest)
    return False


def source_hash(source: str) -> str:
    """Return how a page's Content-Security-Policy names the one style or script, ``source``, that the page may have."""
    return f"sha256-{b64encode(hashlib.sha256(source.encode()).digest()).decode()}"


def data_uri(content: bytes, kind: str = "image/png") -> str:
    """Return the content of a file of a MIME ``kind`` as an address that holds it."""
    return f"data:{kind};base64,{b64encode(content).decode()}"
