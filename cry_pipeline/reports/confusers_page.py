"""Confusers: what the champion says of made-up sounds that are no cries, beside its headline and in no figure of it.

Belongs here: the page, its table, and a player of one sound of each kind. Does not: the sounds (corpus/synthetic),
asking the champion (inference, by orchestration), and the page's words and looks (``templates/``).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from cry_pipeline.corpus.audio import wav
from cry_pipeline.corpus.synthetic.confusers import KINDS, sound_of
from cry_pipeline.reports.confused import AskedKind, Confused
from cry_pipeline.reports.pages import Picture, data_uri, picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.tables import FILLED, Schema, flag, integer, number, text

PLAYED_S = 3.0
"""Of a kind's first sound: a page holds all its sounds itself."""

CONFUSERS = Schema(
    "what the champion says of sounds that are no cries",
    {
        "kind": text("of sound", matches=FILLED),
        "control": flag("whether these are made-up cries, which should be called one"),
        "sounds": integer("that were asked about", 1),
        "called": integer("of them called a cry", 0),
        "share": number("called a cry", 0, 1),
        "low": number("lower end of Wilson's 95 % interval", 0, 1),
        "high": number("upper end", 0, 1),
        "median": number("of the probabilities of a cry", 0, 1),
        "known": flag("whether clearly more than of the corpus' own recordings without a cry"),
    },
    unique=["kind"],
)


class ConfusersError(ValueError):
    """There is nothing to show; the message says what to do."""


def confused_of(material: Material) -> Confused:
    """Return what the page is made of.

    Raises:
        ConfusersError: nothing is.
    """
    if material.confused is None:
        raise ConfusersError("There is no champion's answer to show: hand in what it was asked.")
    return material.confused


def confusers_page(confused: Confused) -> dict[str, Any]:
    """Return what the page shows."""
    worst = sorted(confused.kinds, key=lambda kind: (kind.control, -kind.share.value))
    return {
        "synthetic": confused.synthetic,
        "confused": confused,
        "kinds": [
            {"kind": kind, "median": float(np.median(kind.probabilities)), "sound": _player(kind.name)}
            for kind in worst
        ],
        "known": [kind.words for kind in worst if kind.name in confused.known],
        "control": next((kind for kind in worst if kind.control), None),
        "picture_of_kinds": _picture(worst, confused) if worst else None,
    }


def _rows(confused: Confused) -> list[Mapping[str, Any]]:
    return [
        {
            "kind": kind.name,
            "control": kind.control,
            "sounds": len(kind.probabilities),
            "called": sum(said >= confused.threshold for said in kind.probabilities),
            "share": kind.share.value,
            "low": kind.share.low,
            "high": kind.share.high,
            "median": float(np.median(kind.probabilities)),
            "known": kind.name in confused.known,
        }
        for kind in confused.kinds
    ]


def _player(kind: str) -> str | None:
    """Return the beginning of a kind's first sound, before any codec, as an address that holds it; 16-bit WAV."""
    if kind not in KINDS:
        return None
    samples, audio = sound_of(kind, 0)
    rate_hz = audio.sample_rate_hz
    return data_uri(wav(samples[: round(PLAYED_S * rate_hz)], rate_hz), "audio/wav")


def _picture(kinds: Sequence[AskedKind], confused: Confused) -> Picture:
    from cry_pipeline.reports.figures import confusers as plots

    def draw(theme: Any, *, narrow: bool) -> bytes:
        return plots.answers(kinds, confused.threshold, theme, narrow=narrow)

    return picture(
        lambda theme: draw(theme, narrow=False),
        "Of each kind of sound, the probability of a cry for each sound, as dots; the threshold, as a line. The shares "
        "are in the table.",
        lambda theme: draw(theme, narrow=True),
    )


def _plots(confused: Confused) -> dict[str, bytes]:
    from cry_pipeline.reports.figures import confusers as plots

    return {"what it says of no cries": plots.answers(confused.kinds, confused.threshold)} if confused.kinds else {}


CONFUSERS_PAGE = Report(
    name="confusers",
    stage="confusers_page",
    file="confusers",
    title="Sounds that are no cries",
    description="What the champion says of made-up cats, sirens, laughter, adults who imitate a cry and more: a test "
    "of robustness beside the headline, in no figure of it.",
    reads=("confused",),
    inputs=lambda material: {"confused": asdict(confused_of(material))},
    content=confused_of,
    page=lambda content, material: confusers_page(content),
    schema=CONFUSERS,
    rows=_rows,
    plots=_plots,
    glance=("kind", "share", "low", "high"),
)
