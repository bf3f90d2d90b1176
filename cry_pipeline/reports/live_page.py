"""Live evidence: what happened since deployment, week by week, and what triage is worth on donations.

Belongs here: the page and its table. Does not: computing it (donations/live.py), and each donation (donations_page.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.reports.happened import Batch, Happened, Live
from cry_pipeline.reports.pages import Picture, picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.schemas import WEEKS

SHOWN = 26
"""Weeks that the page shows at most; the table has all."""


class LiveError(ValueError):
    """There is no live evidence to show; the message says what to do."""


def happened(material: Material) -> Happened:
    """Return what happened.

    Raises:
        LiveError: it was not handed in.
    """
    if material.live is None:
        raise LiveError("There is no live evidence to show: hand in what happened to donations.")
    return material.live


def live_page(live: Live, catalog: Catalog) -> dict[str, Any]:
    """Return what the page shows."""
    return {
        "synthetic": live.synthetic,
        "live": live,
        "spec": catalog.donations,
        "weeks": live.weeks[:SHOWN],
        "weeks_in_all": len(live.weeks),
        "picture_of_weeks": _weeks(live) if live.weeks else None,
        "latest": live.batches[0] if live.batches else None,
        "pictures": _pictures(live.batches[0]) if live.batches else [],
    }


def _weeks(live: Live) -> Picture:
    from cry_pipeline.reports.figures import donations as plots

    return picture(
        lambda theme: plots.weeks(live.weeks, theme),
        "Donations of each week: taken as a cry, left to a person, set aside; the counts are in the table.",
    )


def _pictures(batch: Batch) -> Sequence[Picture]:
    from cry_pipeline.reports.figures import donations as plots

    words = "How far each thing that was compared is from what the champion was trained on; as in the table."
    made = [picture(lambda theme: plots.distances(batch, theme), words)]
    if batch.scores and batch.reference:
        words = "Distribution of the batch's scores, beside that of the champion's out-of-fold scores."
        made.append(picture(lambda theme: plots.scores(batch, theme), words))
    return made


def _rows(live: Live) -> list[Mapping[str, Any]]:
    return [{"week": week.start, **asdict(week)} for week in live.weeks]


LIVE_PAGE = Report(
    name="live",
    stage="live_page",
    file="live",
    title="Live evidence",
    description="What happened since deployment: donations by week, what triage decided and what it is worth by its "
    "audit share, agreement of people, champions, drift.",
    reads=("live",),
    schema=WEEKS,
    rows=_rows,
    spec=lambda catalog: {"donations": catalog.donations.parts},
    inputs=lambda material: {"live": happened(material).digest},
    content=lambda material: happened(material).look(),
    page=lambda content, material: live_page(content, material.catalog),
)
