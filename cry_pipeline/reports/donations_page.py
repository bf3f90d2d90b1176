"""Donations: what lies in the inbox, what of it was taken and what refused, by day and donor.

Belongs here: counting what came by the inbox. Does not: the corpus (manifest_page.py), and listing the inbox (corpus).
"""

from typing import TYPE_CHECKING, Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.corpus.filenames import CONVENTION
from cry_pipeline.digests import table_digest
from cry_pipeline.reports.manifest_page import refused, tables_of
from cry_pipeline.reports.material import Tables
from cry_pipeline.reports.pages import picture
from cry_pipeline.reports.report import Material, Report

if TYPE_CHECKING:
    import pandas as pd

INBOX = "inbox"
LATEST, DONORS = 20, 50
"""Recordings, and donors or days, that the page shows at most."""


def donated(material: Material) -> Tables:
    """Return what of manifest and quarantine came by the inbox; raises as :func:`tables_of`."""
    tables = tables_of(material)
    recordings, quarantine = tables.recordings, tables.quarantine
    return Tables(recordings[recordings["root"] == INBOX], quarantine[quarantine["root"] == INBOX], tables.how)


def by_donor(taken: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return a row for each donor, the latest first: recordings, seconds, first and last day, reasons given."""
    rows = []
    for donor, group in taken.groupby("donor"):
        reasons = {str(reason): int(count) for reason, count in group["reason"].value_counts().items()}
        rows.append(
            {
                "donor": donor,
                "recordings": len(group),
                "seconds": float(group["duration_s"].sum()),
                "first": group["recorded_at"].min(),
                "last": group["recorded_at"].max(),
                "reasons": reasons,
            }
        )
    return sorted(rows, key=lambda row: (row["last"], row["donor"]), reverse=True)


def by_day(taken: "pd.DataFrame") -> list[tuple[str, int, int]]:
    """Return day (UTC), recordings and donors of each day on which anything was recorded, the latest first."""
    days = taken.groupby(taken["recorded_at"].dt.strftime("%Y-%m-%d"))
    return [(str(day), len(group), group["donor"].nunique()) for day, group in days][::-1]


def donations_page(tables: Tables, catalog: Catalog) -> dict[str, Any]:
    """Return what the page shows."""
    taken, donors, days = tables.recordings, by_donor(tables.recordings), by_day(tables.recordings)
    latest = taken.sort_values(["recorded_at", "recording_id"], ascending=False).head(LATEST)
    return {
        "synthetic": tables.synthetic,
        "files": len(taken) + len(tables.quarantine),
        "taken": len(taken),
        "files_refused": len(tables.quarantine),
        "donors": donors[:DONORS],
        "donors_in_all": len(donors),
        "days": days[:DONORS],
        "days_in_all": len(days),
        "latest": latest.to_dict("records"),
        "refused": refused(tables.quarantine),
        "cohorts": [name for name, spec in catalog.cohorts.items() if INBOX in spec.sources],
        "convention": CONVENTION,
        "picture_of_days": _picture(taken) if len(taken) else None,
    }


def _picture(taken: "pd.DataFrame") -> Any:
    from cry_pipeline.reports.figures import counts as plots

    return picture(
        lambda theme: plots.timeline(taken["recorded_at"], "Recorded", theme),
        "Donated recordings over time; the counts are in the table.",
    )


def _inputs(material: Material) -> dict[str, Any]:
    tables = donated(material)
    return {"tables": [table_digest(tables.recordings), table_digest(tables.quarantine)]}


DONATIONS_PAGE = Report(
    name="donations",
    stage="donations_page",
    file="donations",
    title="Donations",
    description="What lies in the inbox: what of it was taken and what refused, by day and donor.",
    reads=("tables",),
    spec=lambda catalog: {"cohorts": [name for name, spec in catalog.cohorts.items() if INBOX in spec.sources]},
    inputs=_inputs,
    content=donated,
    page=lambda content, material: donations_page(content, material.catalog),
)
