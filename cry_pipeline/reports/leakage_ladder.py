"""The leakage ladder's report: a row for each rung, a figure, and what is missing.

Belongs here: table and page. Does not: the ladder itself (evaluation/ladder.py), and the figure
(figures/comparisons.py).
"""

from collections.abc import Sequence
from typing import Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.ladder import FIRST_MODELS, RUNGS, Ladder, Rung, ladder_names, ladders, rung_experiments
from cry_pipeline.evaluation.records import METRIC_NAMES, NOT_RUN
from cry_pipeline.reports.pages import picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.rows import accuracy_columns, headline_columns
from cry_pipeline.reports.schemas import LADDER


def ladder_rows(content: Sequence[Ladder]) -> list[dict[str, Any]]:
    """Return a row for each rung, in the page's order."""
    return [_row(ladder, rung) for ladder in content for rung in ladder.rungs]


def ladder_page(content: Sequence[Ladder]) -> dict[str, Any]:
    """Return what the page shows: one table and one figure, and what is missing of LFEB and random forest."""
    from cry_pipeline.reports.figures import comparisons as plots

    shown = [ladder for ladder in content if ladder.shown]
    rungs = [rung for ladder in content for rung in ladder.rungs]
    words = "Headline metric and accuracy of each model under each protocol; the table holds the same numbers."
    return {
        "synthetic": any(rung.found.synthetic for rung in rungs if rung.found),
        "ladders": shown,
        "figure": picture(
            lambda theme: plots.ladder(shown, theme), words, lambda theme: plots.ladder(shown, theme, narrow=True)
        )
        if shown
        else None,
        "rungs": RUNGS,
        "not_run": {
            rung.experiment: NOT_RUN
            for ladder in content
            for rung in ladder.rungs
            if rung.experiment and not rung.found
        },
        "absent": [kind for kind in FIRST_MODELS if kind not in {ladder.kind for ladder in content}],
        "metric_names": METRIC_NAMES,
    }


def ladder_spec(catalog: Catalog) -> dict[str, Any]:
    """Return which experiments are rungs of which ladder, as it enters the report's key."""
    return {"rungs": [[list(key), by_kind] for key, by_kind in rung_experiments(catalog).items()]}


def _ladders(material: Material) -> list[Ladder]:
    return ladders(material.catalog, material.evidence, material.runs)


def _row(ladder: Ladder, rung: Rung) -> dict[str, Any]:
    row = {
        "cohort": ladder.cohort,
        "feature_set": ladder.feature_set,
        "model": ladder.model,
        "protocol": rung.kind,
        "experiment": rung.experiment or "",
        "status": rung.status,
    }
    if rung.found is None:
        return row
    result = rung.found
    step = {"step": rung.step.value, "step_low": rung.step.low, "step_high": rung.step.high} if rung.step else {}
    return (
        row
        | headline_columns(result)
        | accuracy_columns(result)
        | step
        | {
            "recordings": result.recordings,
            "shared_donors": result.shared_donors,
            "macro_f1": result.metrics["macro_f1"].value,
            "qualification": result.qualification or "",
        }
    )


LEAKAGE_LADDER = Report(
    name="leakage_ladder",
    stage="leakage_ladder",
    file="leakage_ladder",
    title="Leakage ladder",
    description="One model under three protocols, augment then split, clip stratified and donor grouped, with the step "
    "from each to the honest one.",
    spec=ladder_spec,
    compared=ladder_names,
    content=_ladders,
    schema=LADDER,
    rows=ladder_rows,
    page=lambda content, material: ladder_page(content),
    glance=("model", "score", "verdict", "protocol", "cohort", "shared_donors", "step", "accuracy", "majority_rate"),
)
