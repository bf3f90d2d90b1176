"""Model comparison: does any model do better, or worse, than the best baseline on the same folds?

Belongs here: which runs stand side by side, which of them the others are held against, table and page. Does not: the
comparison itself (comparisons.py), evidence (evidence.py), and the figure (figures/comparisons.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pandas as pd

from cry_pipeline import keys
from cry_pipeline.artefacts import write_html, write_table
from cry_pipeline.catalog import Catalog, EnsembleSpec
from cry_pipeline.evaluation.comparisons import compare_table
from cry_pipeline.evaluation.findings import SMALLEST_DIFFERENCE, Comparison
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.records import METRIC_NAMES, Evidence
from cry_pipeline.reports.figures import comparisons as comparison_plots
from cry_pipeline.reports.page_keys import TEMPLATES, page_spec
from cry_pipeline.reports.pages import Picture, fill, kept_table, picture

STAGE = "model_comparison"
PAGE, TABLE = "model_comparison.html", "model_comparison.parquet"


@dataclass(frozen=True)
class Contestant:
    """One run; ``comparison`` is this one − the best baseline, None for that one itself."""

    found: Evidence
    has_network: bool
    comparison: Comparison | None = None

    @property
    def words(self) -> str:
        """What the comparison says, after Holm's correction."""
        held = self.comparison
        if held is None:
            return "the best baseline"
        return held.shown or "no difference shown"


@dataclass(frozen=True)
class Contest:
    """Runs on the same recordings, features and folds, the best first."""

    cohort: str
    feature_set: str
    protocol: str
    seed: int
    contestants: tuple[Contestant, ...]

    @property
    def baseline(self) -> Contestant:
        """The run that the others are held against."""
        return next(each for each in self.contestants if each.comparison is None)

    @property
    def sentence(self) -> str:
        """What follows for the networks, in words."""
        name = self.baseline.found.provenance.model
        networks = [each for each in self.contestants if each.has_network]
        if not networks:
            return f"No network was run on these folds; the best baseline is {name}."
        better = [each.found.provenance.model for each in networks if each.words == "better"]
        if better:
            return f"Better than the best baseline, {name}, with a network: {', '.join(better)}."
        return f"That a network, or an ensemble with one, is better than the best baseline, {name}, is not shown."


@dataclass(frozen=True)
class ComparisonReport:
    """Contests on disk: digest of what went in, table, page, and whether it was there and current."""

    digest: str
    table: pd.DataFrame
    page: Path
    reused: bool


def has_network(catalog: Catalog, model: str) -> bool:
    """Return whether ``model`` is a network or an ensemble with one."""
    spec = catalog.models[model]
    return any(own.is_network for own in (spec.specs if isinstance(spec, EnsembleSpec) else (spec,)))


def comparison_names(catalog: Catalog) -> list[str]:
    """Return the experiments that may be compared: those on folds that keep donors apart, of models that listen."""
    return sorted(
        name
        for name, of in catalog.experiments.items()
        if catalog.protocols[of.protocol].grouped and catalog.models[of.model].inputs
    )


def contests(catalog: Catalog, evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold]) -> list[Contest]:
    """Hold each run against the best baseline of its folds, in the headline metric; Holm over each table.

    A baseline holds no network. Of several that with the best headline is taken: having been chosen for its figure it
    is lucky in part, so that to be better than it is asked more of a model than of one named beforehand.

    Args:
        catalog: says what models are.
        evidence: of any of its experiments.
        runs: out-of-fold predictions by experiment, of those with evidence that :func:`comparison_names` names.

    Raises:
        EvidenceError: two runs are of other recordings or folds; see comparisons.py.
    """
    names = set(comparison_names(catalog))
    shown = sorted((found for found in evidence if found.provenance.experiment in names), key=_where)
    made = []
    for where, group in groupby(shown, key=_where):
        own = sorted(group, key=lambda found: -found.headline.value)
        networks = {found.provenance.experiment: has_network(catalog, found.provenance.model) for found in own}
        best = next((found.provenance.experiment for found in own if not networks[found.provenance.experiment]), None)
        if best is None or len(own) < 2:
            continue
        tested = {found.provenance.experiment: runs[found.provenance.experiment] for found in own}
        compared = {held.first: held for held in compare_table(tested, best, own[0].headline_metric)}
        held = [(found, found.provenance.experiment) for found in own]
        made.append(
            Contest(*where, tuple(Contestant(found, networks[name], compared.get(name)) for found, name in held))
        )
    return made


def comparison_table(found: Sequence[Contest]) -> pd.DataFrame:
    """Return one row per run, in the page's order.

    Columns: cohort, feature_set, protocol, seed, experiment, model, has_network, metric, value, low, high, chance,
    verdict; difference (this one − the best baseline), difference_low, difference_high, p_value, p_adjusted: missing
    for the best baseline; words.
    """
    return pd.DataFrame([_row(each, one) for each in found for one in each.contestants], columns=COLUMNS)


COLUMNS = [
    *("cohort", "feature_set", "protocol", "seed", "experiment", "model", "has_network", "metric", "value", "low"),
    *("high", "chance", "verdict", "difference", "difference_low", "difference_high", "p_value", "p_adjusted", "words"),
]


def comparison_spec(catalog: Catalog) -> dict[str, object]:
    """Return what, besides evidence, the report is made of, as it enters its key."""
    networks = {name: has_network(catalog, catalog.experiments[name].model) for name in comparison_names(catalog)}
    return page_spec(STAGE, networks=networks)


def comparison_html(found: Sequence[Contest], *, synthetic: bool = False) -> str:
    """Return the page: a sentence, a table and a figure for each contest; ``synthetic`` is said in the title."""
    return fill(
        TEMPLATES[STAGE],
        page=PAGE,
        title="Model comparison",
        synthetic=synthetic,
        contests=[(each, _picture(each)) for each in found],
        metric_names=METRIC_NAMES,
        smallest=SMALLEST_DIFFERENCE,
    )


def write_comparison(
    catalog: Catalog, evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold], folder: Path
) -> ComparisonReport:
    """Write ``model_comparison.html`` and ``.parquet`` to ``folder``, each atomically, unless they are current."""
    names = set(comparison_names(catalog))
    shown = [found for found in evidence if found.provenance.experiment in names]
    key = keys.key(STAGE, comparison_spec(catalog), {"evidence": sorted(found.digest for found in shown)})
    page = folder / PAGE
    kept = kept_table(page, folder / TABLE, key)
    if kept is not None:
        return ComparisonReport(key, kept, page, reused=True)
    found = contests(catalog, shown, runs)
    table = comparison_table(found)
    write_html(page, comparison_html(found, synthetic=any(one.synthetic for one in shown)), key)
    write_table(folder / TABLE, table, key)
    return ComparisonReport(key, table, page, reused=False)


def _where(found: Evidence) -> tuple[str, str, str, int]:
    of = found.provenance
    return of.cohort, of.feature_set, of.protocol, of.seed


def _picture(of: Contest) -> Picture:
    held = [(each.found.provenance.model, each.comparison) for each in of.contestants if each.comparison]
    names, compared = [name.replace("_", " ") for name, _ in held], [comparison for _, comparison in held]
    right = f"better than {of.baseline.found.provenance.model.replace('_', ' ')}"
    words = f"Differences between each model and the best baseline on {of.cohort}, as in the table."
    return picture(lambda theme: comparison_plots.differences(compared, names, right, theme), words)


def _row(of: Contest, one: Contestant) -> dict[str, str | float | bool | None]:
    found, held = one.found, one.comparison
    row: dict[str, str | float | bool | None] = {
        "cohort": of.cohort,
        "feature_set": of.feature_set,
        "protocol": of.protocol,
        "seed": of.seed,
        "experiment": found.provenance.experiment,
        "model": found.provenance.model,
        "has_network": one.has_network,
        "metric": found.headline_metric,
        "value": found.headline.value,
        "low": found.headline.low,
        "high": found.headline.high,
        "chance": found.chance,
        "verdict": found.verdict,
        "words": one.words,
    }
    if held:
        row |= {
            "difference": held.difference,
            "difference_low": held.low,
            "difference_high": held.high,
            "p_value": held.p_value,
            "p_adjusted": held.p_adjusted,
        }
    return row
