"""The hybrid ablation's report: a row for each variant of the image, a sentence and a figure for each ablation.

Belongs here: table and page. Does not: the ablation itself (evaluation/ablation.py), and the figure
(figures/comparisons.py).
"""

from collections.abc import Sequence
from typing import Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.ablation import Ablation, Variant, ablation_experiments, ablation_names, ablations
from cry_pipeline.evaluation.findings import SMALLEST_DIFFERENCE
from cry_pipeline.evaluation.records import METRIC_NAMES, NOT_RUN
from cry_pipeline.evaluation.trainings import FEWEST_TRAININGS, intervals_hold
from cry_pipeline.reports.pages import Picture, picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.rows import accuracy_columns, difference_columns, headline_columns
from cry_pipeline.reports.schemas import ABLATION


def ablation_rows(content: Sequence[Ablation]) -> list[dict[str, Any]]:
    """Return a row for each variant, in the page's order."""
    return [_row(ablation, variant) for ablation in content for variant in ablation.variants]


def ablation_page(content: Sequence[Ablation]) -> dict[str, Any]:
    """Return what the page shows: a table, a sentence and a figure for each ablation."""
    variants = [variant for ablation in content for variant in ablation.variants]
    return {
        "synthetic": any(variant.found.synthetic for variant in variants if variant.found),
        "ablations": [(ablation, _picture(ablation)) for ablation in content],
        "not_run": dict.fromkeys(sorted({variant.experiment for variant in variants if not variant.found}), NOT_RUN),
        "metric_names": METRIC_NAMES,
        "smallest": SMALLEST_DIFFERENCE,
        "fewest": FEWEST_TRAININGS,
        "intervals_hold": intervals_hold,
    }


def ablation_spec(catalog: Catalog) -> dict[str, Any]:
    """Return which experiments are compared, as it enters the report's key."""
    return {"experiments": [list(ablation) for ablation in ablation_experiments(catalog)]}


def _ablations(material: Material) -> list[Ablation]:
    return ablations(material.catalog, material.evidence, material.runs)


def _picture(ablation: Ablation) -> Picture | None:
    from cry_pipeline.reports.figures import comparisons as plots

    compared = ablation.comparisons
    if not compared:
        return None
    names = [f"hybrid − {variant.plane}" for variant in ablation.variants if variant.comparison]
    words = f"Differences between the hybrid and single planes on {ablation.cohort}, as in the table."
    return picture(
        lambda theme: plots.differences(compared, names, "hybrid better", theme),
        words,
        lambda theme: plots.differences(compared, names, "hybrid better", theme, narrow=True),
    )


def _row(ablation: Ablation, variant: Variant) -> dict[str, Any]:
    result = variant.found
    row = {
        "cohort": ablation.cohort,
        "feature_set": ablation.feature_set,
        "protocol": ablation.protocol,
        "plane": variant.plane,
        "experiment": variant.experiment,
        "status": "run" if result else "not run",
        "words": variant.words,
    }
    measured = headline_columns(result) | accuracy_columns(result) if result else {}
    return row | measured | difference_columns(variant.comparison)


HYBRID_ABLATION = Report(
    name="hybrid_ablation",
    stage="hybrid_ablation",
    file="hybrid_ablation",
    title="Hybrid ablation",
    description="The network on the hybrid image against the same on spectrogram, mel or MFCC only, in pairs, with "
    "Holm's correction.",
    spec=ablation_spec,
    compared=ablation_names,
    content=_ablations,
    schema=ABLATION,
    rows=ablation_rows,
    page=lambda content, material: ablation_page(content),
    glance=("plane", "score", "verdict", "cohort", "protocol", "change", "words", "accuracy", "majority_rate"),
)
