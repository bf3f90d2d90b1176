"""The manifest and the quarantine: what recordings there are, what is used of them for what, and what was refused.

Belongs here: counting them for the page. Does not: making the tables (corpus), what came by the inbox
(donations_page.py), and the page's words and looks (``templates/``).
"""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.corpus.contradictions import find_contradictions
from cry_pipeline.reports.material import Tables
from cry_pipeline.reports.pages import Picture, picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.words import REFUSED

if TYPE_CHECKING:
    import pandas as pd

SHOWN = ["source", "path", "bytes", "detail"]
LISTED = 100
"""Refused files of each reason, and contradictions, that a page shows: anybody can put any number into the inbox."""


class TablesError(ValueError):
    """There is no manifest to show; the message says what to do."""


def tables_of(material: Material) -> Tables:
    """Return the tables that a page is made of.

    Raises:
        TablesError: there are none.
    """
    if material.tables is None:
        raise TablesError("There is no manifest to show: hand it and the quarantine in.")
    return material.tables


def by_source(tables: Tables) -> list[dict[str, Any]]:
    """Return a row for each source: recordings, donors, seconds, rates and codecs, and how many files were refused."""
    refused = {str(source): len(group) for source, group in tables.quarantine.groupby("source")}
    groups = {str(source): group for source, group in tables.recordings.groupby("source")}
    return [
        {
            "source": source,
            "recordings": len(group),
            "donors": group["donor"].nunique(),
            "minutes": float(group["duration_s"].sum()) / 60,
            "rates_hz": sorted({int(rate) for rate in group["sample_rate_hz"]}),
            "codecs": sorted({str(codec) for codec in group["codec"]}),
            "kept": int(group["kept"].fillna(False).astype(bool).sum()),
            "judged": int(group["kept"].notna().sum()),
            "refused": refused.get(source, 0),
        }
        for source in sorted({*groups, *refused})
        for group in [groups.get(source, tables.recordings[:0])]
    ]


def by_value(recordings: "pd.DataFrame", column: str) -> list[dict[str, Any]]:
    """Return a row for each value of ``column`` (none last): recordings and donors, and recordings of each source."""
    rows = []
    for value, group in recordings.groupby(column, dropna=False, sort=False):
        sources = {str(source): int(count) for source, count in group["source"].value_counts().items()}
        stated = None if group[column].isna().all() else str(value)
        rows.append({"value": stated, "recordings": len(group), "donors": group["donor"].nunique(), "sources": sources})
    return sorted(rows, key=lambda row: (row["value"] is None, -row["recordings"], row["value"]))


def cohorts_of(catalog: Catalog, recordings: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return a row for each cohort: recordings and donors, of each class too; or why it cannot be made."""
    from cry_pipeline.corpus.cohorts import CohortError, select_cohort

    rows = []
    for name, spec in catalog.cohorts.items():
        about = {"name": name, "description": spec.description, "fault": None, "classes": []}
        try:
            cohort = select_cohort(recordings, spec)
        except CohortError as error:
            rows.append(about | {"fault": str(error)})
            continue
        classes = [(label, cohort[cohort["label"] == label]) for label in spec.classes]
        rows.append(
            about
            | {
                "recordings": len(cohort),
                "donors": cohort["donor"].nunique(),
                "classes": [(label, len(group), group["donor"].nunique()) for label, group in classes],
            }
        )
    return rows


def refused(quarantine: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return, for each reason and the most frequent first, what it means and its files; at most :data:`LISTED`."""
    groups = sorted(quarantine.groupby("reason"), key=lambda item: (-len(item[1]), str(item[0])))
    return [
        {
            "reason": reason,
            "means": REFUSED[str(reason)],
            "files": len(group),
            "more": max(0, len(group) - LISTED),
            "listed": [
                {
                    "source": source,
                    "path": path,
                    "bytes": size,
                    "detail": detail.removeprefix(f"{PurePosixPath(path).name}: "),
                }
                for source, path, size, detail in group[SHOWN].head(LISTED).itertuples(index=False)
            ],
        }
        for reason, group in groups
    ]


def manifest_page(tables: Tables, catalog: Catalog) -> dict[str, Any]:
    """Return what the page shows."""
    recordings = tables.recordings
    contradictions = find_contradictions(recordings)
    per_donor = recordings["donor"].value_counts()
    return {
        "synthetic": tables.synthetic,
        "how": tables.how,
        "recordings": len(recordings),
        "donors": len(per_donor),
        "donations": recordings["donation_id"].nunique(),
        "minutes": float(recordings["duration_s"].sum()) / 60,
        "files_refused": len(tables.quarantine),
        "once": int((per_donor == 1).sum()),
        "most": int(per_donor.max()) if len(per_donor) else 0,
        "sources": by_source(tables),
        "reasons": by_value(recordings, "reason"),
        "babies": {name: by_value(recordings, name) for name in ("age_band", "gender", "platform")},
        "cohorts": cohorts_of(catalog, recordings),
        "contradictions": contradictions[:LISTED],
        "contradictions_in_all": len(contradictions),
        "refused": refused(tables.quarantine),
        "pictures": _pictures(recordings) if len(recordings) else [],
    }


def _pictures(recordings: "pd.DataFrame") -> Sequence[Picture]:
    from cry_pipeline.reports.figures import counts as plots

    reasons = recordings["reason"].str.replace("_", " ").value_counts()
    drawn: Mapping[str, Any] = {
        "Recordings of each reason that parents gave": lambda theme: plots.bars(reasons, "Reasons given", theme),
        "Duration of the recordings": lambda theme: plots.histogram(
            recordings["duration_s"], "Duration", "s", theme, least=0
        ),
        "Level of the recordings": lambda theme: plots.histogram(
            recordings["rms_dbfs"], "Level", "dB relative to full scale", theme
        ),
        "Share of each recording that is voiced": lambda theme: plots.histogram(
            100 * recordings["voiced_fraction"], "Voiced share", "% of a recording", theme, least=0
        ),
        "Recordings over time": lambda theme: plots.timeline(recordings["recorded_at"], "Recorded", theme),
    }
    return [picture(draw, f"{words}; the counts are in the tables.") for words, draw in drawn.items()]


def _spec(catalog: Catalog) -> dict[str, Any]:
    return {"cohorts": {name: spec.model_dump(mode="json") for name, spec in catalog.cohorts.items()}}


MANIFEST_PAGE = Report(
    name="manifest",
    stage="manifest_page",
    file="manifest",
    title="Recordings",
    description="What recordings there are, by source, reason and cohort, and what was refused, with the reason.",
    reads=("tables",),
    spec=_spec,
    inputs=lambda material: {"tables": tables_of(material).digests, "how": tables_of(material).how},
    content=tables_of,
    page=lambda content, material: manifest_page(content, material.catalog),
)
