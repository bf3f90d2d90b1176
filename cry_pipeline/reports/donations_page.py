"""Donations: what was accepted and what refused, what became of each, by day and donor.

Belongs here: the table of donations, and counting them. Does not: the corpus (manifest_page.py), what triage is worth
(live_page.py), and deciding anything (donations).

The page tells scores to the team. The pages on which people judge show none of this.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.corpus.cohorts import DONATED, CohortError, select_cohort
from cry_pipeline.corpus.filenames import CONVENTION
from cry_pipeline.digests import table_digest
from cry_pipeline.reports.manifest_page import refused, tables_of
from cry_pipeline.reports.material import Donations, Tables
from cry_pipeline.reports.pages import picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.schemas import DECISIONS, DONATIONS

if TYPE_CHECKING:
    import pandas as pd

SHOWN, GLANCED = 50, 10
"""Donations, donors and days that the page shows at most, and donations that Dagster does; the table has all."""
NOT_ASKED = "not_asked"
"""Of a donation that no champion was asked about: it may only be kept, or triage has not come to it."""
OF_MANIFEST = ("recording_id", "recorded_at", "name", "platform", "donor", "consent_scope", "duration_s", "judgement")
OF_TRIAGE = ("bundle", "score", "decision", "audit")


class DonationsError(ValueError):
    """It is not known what became of donations; the message says what to do."""


@dataclass(frozen=True)
class Donated:
    """What of manifest and quarantine is of donations, and the rows of :data:`DONATIONS`, the latest first."""

    tables: Tables
    rows: list[dict[str, Any]]


def donated(material: Material) -> Donated:
    """Return the donations and what became of each; raises as :func:`tables_of` and :func:`_known`."""
    own, known = _own(material), _known(material)
    unseen = own.recordings[~own.recordings["recording_id"].isin(known.arrived.index)]
    if len(unseen):
        raise DonationsError(f"Triage has not come to {len(unseen)} donations yet: materialize donations/triage.")
    featured, cohorts = _members(known.featured), _members(cohorts_of(material))
    triaged = {row["recording_id"]: row for row in _records(known.triage[["recording_id", *OF_TRIAGE]])}
    people = dict(zip(known.judged["recording_id"], known.judged["people"], strict=True))
    rows = [
        {
            **row,
            "arrived_at": known.arrived[row["recording_id"]],
            "people": people.get(row["recording_id"]),
            **triaged.get(row["recording_id"], dict.fromkeys(OF_TRIAGE)),
            "features": _named(row["recording_id"], featured),
            "cohorts": _named(row["recording_id"], cohorts),
        }
        for row in _records(own.recordings[list(OF_MANIFEST)])
    ]
    return Donated(own, sorted(rows, key=lambda row: (row["arrived_at"], row["recording_id"]), reverse=True))


def _own(material: Material) -> Tables:
    """Return what of manifest and quarantine is of donations."""
    tables = tables_of(material)
    recordings, quarantine = tables.recordings, tables.quarantine
    return Tables(recordings[recordings["source"] == DONATED], quarantine[quarantine["source"] == DONATED], tables.how)


def _known(material: Material) -> Donations:
    if material.donations is None:
        raise DonationsError("It is not known what became of donations: hand triage and judgements in.")
    return material.donations


def cohorts_of(material: Material) -> dict[str, list[str]]:
    """Return, by cohort that takes donations, those that it holds; none of one that cannot be made."""
    recordings, found = tables_of(material).recordings, {}
    for name, spec in material.catalog.cohorts.items():
        if DONATED in spec.sources:
            try:
                cohort = select_cohort(recordings, spec)
            except CohortError:  # the page of recordings says why
                found[name] = []
            else:
                found[name] = cohort.loc[cohort["source"] == DONATED, "recording_id"].tolist()
    return found


def _records(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of ``table``, None where there is no value."""
    plain = table.astype(object).where(table.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]


def _members(groups: Mapping[str, Collection[str]]) -> dict[str, frozenset[str]]:
    """Return the same groups, in which each donation is looked for."""
    return {name: frozenset(recordings) for name, recordings in groups.items()}


def _named(recording: str, groups: Mapping[str, frozenset[str]]) -> str:
    return ", ".join(name for name, recordings in groups.items() if recording in recordings)


def by_donor(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each donor, the latest to arrive first: donations, seconds, first and last day, decisions."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:  # the latest first
        own = found.setdefault(
            row["donor"],
            {"donor": row["donor"], "donations": 0, "seconds": 0.0, "last": row["arrived_at"], "decisions": {}},
        )
        own |= {"donations": own["donations"] + 1, "seconds": own["seconds"] + row["duration_s"]}
        own["first"] = row["arrived_at"]
        decision = row["decision"] or NOT_ASKED
        own["decisions"][decision] = own["decisions"].get(decision, 0) + 1
    return list(found.values())


def by_day(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, int]]:
    """Return day (UTC), donations and donors of each day on which any arrived, the latest first."""
    days: dict[str, list[str]] = {}
    for row in rows:
        days.setdefault(f"{row['arrived_at']:%Y-%m-%d}", []).append(row["donor"])
    return [(day, len(donors), len(set(donors))) for day, donors in days.items()]


def donations_page(content: Donated, known: Donations, catalog: Catalog) -> dict[str, Any]:
    """Return what the page shows."""
    rows, quarantine = content.rows, content.tables.quarantine
    donors, days = by_donor(rows), by_day(rows)
    decided = Counter(row["decision"] or NOT_ASKED for row in rows)
    return {
        "synthetic": content.tables.synthetic,
        "files": len(rows) + len(quarantine),
        "accepted": len(rows),
        "files_refused": len(quarantine),
        "donors": donors[:SHOWN],
        "donors_in_all": len(donors),
        "days": days[:SHOWN],
        "days_in_all": len(days),
        "decided": {name: decided[name] for name in (*DECISIONS, NOT_ASKED) if decided[name]},
        "audited": sum(bool(row["audit"]) for row in rows),
        "judged": sum(row["judgement"] is not None for row in rows),
        "latest": rows[:SHOWN],
        "feature_sets": len(known.featured),
        "refused": refused(quarantine),
        "cohorts": [name for name, spec in catalog.cohorts.items() if DONATED in spec.sources],
        "triage": catalog.donations.triage,
        "convention": CONVENTION,
        "picture_of_days": _picture(known.arrived) if rows else None,
    }


def _picture(arrived: "pd.Series[pd.Timestamp]") -> Any:
    from cry_pipeline.reports.figures import counts as plots

    return picture(
        lambda theme: plots.timeline(arrived, "Arrived", theme),
        "Donations over time; the counts are in the table.",
    )


def _spec(catalog: Catalog) -> dict[str, Any]:
    cohorts = {name: spec.parts for name, spec in catalog.cohorts.items() if DONATED in spec.sources}
    return {"cohorts": cohorts, "triage": catalog.donations.triage.parts}


def _inputs(material: Material) -> dict[str, Any]:
    own = _own(material)
    return {
        "tables": [table_digest(own.recordings), table_digest(own.quarantine)],
        "donations": _known(material).digests,
        "cohorts": cohorts_of(material),
    }


DONATIONS_PAGE = Report(
    name="donations",
    stage="donations_page",
    file="donations",
    title="Donations",
    description="What was donated, and what became of each donation: accepted or refused, the champion's score and "
    "the decision, what people said of it, where its features are, in which cohorts it is.",
    reads=("tables", "donations"),
    schema=DONATIONS,
    rows=lambda content: content.rows,
    spec=_spec,
    inputs=_inputs,
    content=donated,
    page=lambda content, material: donations_page(content, _known(material), material.catalog),
    # Donations come every day, and each time this is written to a log that is never pruned.
    glanced=GLANCED,
    glance=("arrived_at", "name", "score", "decision", "judgement", "features", "cohorts"),
)
