"""The model comparison's report: a row for each run, a sentence and a figure for each contest.

Belongs here: table and page. Does not: the contests themselves (evaluation/contests.py), and the figure
(figures/comparisons.py).
"""

from collections.abc import Sequence
from typing import Any

from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.contests import Contest, Contestant, contest_names, contests, has_network
from cry_pipeline.evaluation.findings import SMALLEST_DIFFERENCE
from cry_pipeline.evaluation.records import METRIC_NAMES
from cry_pipeline.evaluation.trainings import FEWEST_TRAININGS, intervals_hold
from cry_pipeline.reports.pages import Picture, picture
from cry_pipeline.reports.report import Material, Report
from cry_pipeline.reports.rows import difference_columns, headline_columns
from cry_pipeline.reports.schemas import COMPARISON


def comparison_rows(content: Sequence[Contest]) -> list[dict[str, Any]]:
    """Return a row for each run, in the page's order."""
    return [_row(contest, run) for contest in content for run in contest.contestants]


def comparison_page(content: Sequence[Contest], *, synthetic: bool = False) -> dict[str, Any]:
    """Return what the page shows: a sentence, a table and a figure for each contest."""
    return {
        "synthetic": synthetic,
        "contests": [(contest, _picture(contest)) for contest in content],
        "metric_names": METRIC_NAMES,
        "smallest": SMALLEST_DIFFERENCE,
        "fewest": FEWEST_TRAININGS,
        "intervals_hold": intervals_hold,
    }


def comparison_spec(catalog: Catalog) -> dict[str, Any]:
    """Return which of the models compared have a network, as it enters the report's key."""
    return {
        "networks": {name: has_network(catalog, catalog.experiments[name].model) for name in contest_names(catalog)}
    }


def _contests(material: Material) -> list[Contest]:
    return contests(material.catalog, material.evidence, material.runs)


def _picture(contest: Contest) -> Picture:
    from cry_pipeline.reports.figures import comparisons as plots

    runs = [(run.model.replace("_", " "), run.comparison) for run in contest.contestants if run.comparison]
    names, compared = [name for name, _ in runs], [comparison for _, comparison in runs]
    right = f"better than {contest.baseline.model.replace('_', ' ')}"
    words = f"Differences between each model and the best baseline on {contest.cohort}, as in the table."
    return picture(
        lambda theme: plots.differences(compared, names, right, theme),
        words,
        lambda theme: plots.differences(compared, names, right, theme, narrow=True),
    )


def _row(contest: Contest, run: Contestant) -> dict[str, Any]:
    row = {
        "cohort": contest.cohort,
        "feature_set": contest.feature_set,
        "protocol": contest.protocol,
        "seed": contest.seed,
        "experiment": run.found.provenance.experiment,
        "model": run.model,
        "has_network": run.has_network,
        "words": run.words,
    }
    return row | headline_columns(run.found) | difference_columns(run.comparison)


MODEL_COMPARISON = Report(
    name="model_comparison",
    stage="model_comparison",
    file="model_comparison",
    title="Model comparison",
    description="Models on the same donor-grouped folds, each against the best one without a network, in pairs, with "
    "Holm's correction.",
    spec=comparison_spec,
    compared=contest_names,
    content=_contests,
    schema=COMPARISON,
    rows=comparison_rows,
    page=lambda content, material: comparison_page(content, synthetic=material.synthetic),
    glance=("model", "score", "verdict", "cohort", "protocol", "feature_set", "change", "p_adjusted", "words"),
)
