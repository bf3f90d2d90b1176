"""Re-listening: how far the corpus' labels can be trusted, and the champion's AUC by labels that people agree on.

Belongs here: what of it a page and a table show. Does not: computing it (donations/, by orchestration), and the page's
words and looks (``templates/``).
"""

from typing import Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.reports.heard import Finding, Heard, Listened
from cry_pipeline.reports.pages import picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.tables import FILLED, Schema, integer, number, text

MEASURES = {"auc": "AUC", "kappa": "Cohen's κ", "share": "share"}
"""What the page calls them."""
LISTED = 100
"""Recordings heard otherwise that the page shows at most."""

RELISTENING = Schema(
    "the numbers of re-listening",
    {
        "sample": text("name of the blind sample", matches=FILLED),
        "measure": text("which number it is", among=MEASURES),
        "what": text("of what", matches=FILLED),
        "value": number("the number; none where too little was heard", nullable=True),
        "low": number("lower end of its 95 % interval over donors", nullable=True),
        "high": number("upper end", nullable=True),
        "recordings": integer("that it rests on", 0),
        "donors": integer("that it rests on", 0),
    },
    unique=["sample", "measure", "what"],
)


class RelisteningError(ValueError):
    """There is nothing to show; the message says what to do."""


def listened_of(material: Material) -> Listened:
    """Return what the page is made of.

    Raises:
        RelisteningError: nothing is.
    """
    if material.listened is None:
        raise RelisteningError("There is nothing heard to show: hand in what was listened to.")
    return material.listened


def rows_of(heard: Heard) -> list[dict[str, Any]]:
    """Return the rows of the table: a number each."""
    return [
        {
            "sample": sample.name,
            "measure": finding.measure,
            "what": finding.what,
            "value": finding.at.value if finding.at else None,
            "low": finding.at.low if finding.at else None,
            "high": finding.at.high if finding.at else None,
            "recordings": finding.recordings,
            "donors": finding.donors,
        }
        for sample in heard.samples
        for finding in sample.findings
    ]


def relistening_page(heard: Heard, catalog: Catalog) -> dict[str, Any]:
    """Return what the page shows."""
    latest = [finding for sample in heard.samples[:1] for finding in sample.findings]
    drawn = [finding for finding in latest if finding.measure != "share" and finding.at]
    return {
        "synthetic": heard.synthetic,
        "samples": heard.samples,
        "pairs": heard.pairs,
        "faults": heard.faults,
        "measures": MEASURES,
        "rule": catalog.donations.judgements.rule,
        "listed": LISTED,
        "picture_of_findings": _picture(drawn) if drawn else None,
    }


def _picture(findings: list[Finding]) -> Any:
    from cry_pipeline.reports.figures import heard as plots

    def draw(theme: Any, *, narrow: bool) -> bytes:
        return plots.findings(findings, theme, narrow=narrow)

    return picture(
        lambda theme: draw(theme, narrow=False),
        "The numbers of the latest sample with their intervals; the table holds the same.",
        lambda theme: draw(theme, narrow=True),
    )


def _plots(heard: Heard) -> dict[str, bytes]:
    from cry_pipeline.reports.figures import heard as plots

    latest = [finding for sample in heard.samples[:1] for finding in sample.findings if finding.at]
    return {"agreement and AUC": plots.findings(latest)} if latest else {}


RELISTENING_PAGE = Report(
    name="relistening",
    stage="relistening_page",
    file="relistening",
    title="Re-listening",
    description="How far people who listen again agree with the corpus' labels, and the champion's AUC on labels that "
    "they agree with beside the usual one.",
    reads=("listened",),
    spec=lambda catalog: {"rule": catalog.donations.judgements.rule},
    inputs=lambda material: {"listened": listened_of(material).digest},
    content=lambda material: listened_of(material).look(),
    page=lambda heard, material: relistening_page(heard, material.catalog),
    schema=RELISTENING,
    rows=rows_of,
    plots=_plots,
    glance=("what", "value", "low", "high", "recordings"),
)
