"""Contradicted labels: the recordings whose labels the models, taken together, contradict, as a list for a listener.

Belongs here: table and page. Does not: who contradicts what (evaluation/contradictions.py), and hearing a blind sample,
which alone shows how far labels can be trusted (relistening.py).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any

from cry_pipeline.corpus.cohorts import DONATED
from cry_pipeline.evaluation.contradictions import Contradicted, asked, contradicted
from cry_pipeline.reports.pages import Picture, picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.schemas import CONTRADICTED

LISTED = 100
"""Recordings of a cohort that the page shows at most; the table holds all."""


class TablesError(ValueError):
    """The manifest was not handed in, so that no recording has a name."""


def _content(material: Material) -> list[Contradicted]:
    """Return what is contradicted, each recording with what the manifest says of it."""
    if material.tables is None:
        raise TablesError("The page of contradicted labels needs the manifest: hand in its tables.")
    manifest = material.tables.recordings
    # A donation lies under its hash; it is called as it came.
    paths = manifest["path"].where(manifest["source"] != DONATED, manifest["name"])
    told = manifest.assign(file=[PurePosixPath(path).name for path in paths])
    told = told[["recording_id", "source", "file", "duration_s", "rms_dbfs"]]
    return [
        replace(one, rows=one.rows.merge(told, on="recording_id", how="left", validate="1:1"))
        for one in contradicted(material.evidence, material.runs)
    ]


def contradicted_rows(content: Sequence[Contradicted]) -> list[dict[str, Any]]:
    """Return a row for each recording that is contradicted."""
    return [
        {"cohort": one.cohort, "models": len(one.models)} | {str(name): value for name, value in row.items()}
        for one in content
        for row in one.rows.to_dict("records")
    ]


def contradicted_page(content: Sequence[Contradicted], *, synthetic: bool = False) -> dict[str, Any]:
    """Return what the page shows: a figure and a list for each cohort."""
    return {
        "synthetic": synthetic,
        "cohorts": [(one, _counts(one), one.rows.head(LISTED).to_dict("records"), _picture(one)) for one in content],
        "listed": LISTED,
    }


def _counts(one: Contradicted) -> dict[str, tuple[int, int]]:
    """Return, by label, how many recordings are contradicted, and how many of these by every model."""
    by_all = one.rows["against"] == len(one.models)
    return {str(label): (len(own), int(by_all[own.index].sum())) for label, own in one.rows.groupby("label")}


def _picture(one: Contradicted) -> Picture:
    from cry_pipeline.reports.figures import contradicted as plots

    words = f"Recordings of {one.cohort} by the models' mean probability of their label, by label."
    return picture(
        lambda theme: plots.by_probability(one, theme),
        words,
        lambda theme: plots.by_probability(one, theme, narrow=True),
    )


CONTRADICTED_LABELS = Report(
    name="contradicted_labels",
    stage="contradicted_labels",
    file="contradicted_labels",
    title="Contradicted labels",
    description="The recordings whose label the models, taken together, contradict: a list to listen to, no claim "
    "about who is right.",
    reads=("evidence", "tables"),
    compared=asked,
    inputs=lambda material: {
        "evidence": material.digests,
        "manifest": material.tables.digests if material.tables else [],
    },
    content=_content,
    schema=CONTRADICTED,
    rows=contradicted_rows,
    page=lambda content, material: contradicted_page(content, synthetic=material.synthetic),
    glance=("label", "says", "probability", "against", "models", "file"),
    glanced=20,
)
