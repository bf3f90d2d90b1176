"""Pages that stand alone: pictures for light and dark as data URIs, and templates filled strictly.

Belongs here: what all reports' pages share. Does not: what a page says (its template) and shows (its module).
"""

from base64 import b64encode
from collections.abc import Callable
from typing import Any, NamedTuple

from cry_pipeline.evaluation.style import DARK, DPI, LIGHT, Theme

CSS_DPI = 96


class Picture(NamedTuple):
    """A figure for light and for dark pages, as data URIs, with its width in CSS pixels and its words."""

    light: str
    dark: str
    width: int
    words: str


def picture(draw: Callable[[Theme], bytes], words: str) -> Picture:
    """Return the figure that ``draw`` makes, as PNG bytes, in both themes; ``words`` are for who cannot see it."""
    light, dark = draw(LIGHT), draw(DARK)
    # A PNG holds its width in bytes 16 to 19; figures are drawn finer than CSS pixels, for sharp screens.
    width = int.from_bytes(light[16:20], "big") * CSS_DPI // DPI
    return Picture(_data_uri(light), _data_uri(dark), width, words)


def fill(template: str, **values: Any) -> str:
    """Return the page that ``template`` of ``templates/`` makes of ``values``; a value it lacks raises."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("cry_pipeline.evaluation"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{b64encode(png).decode()}"
