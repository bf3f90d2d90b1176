"""The hybrid ablation: does the article's hybrid image help, or is one of its planes enough?

Belongs here: which experiments differ in nothing but their planes, their paired comparisons, table and page. Does
not: the comparison itself (comparisons.py), evidence (evidence.py), and the figure (figures/comparisons.py).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cry_pipeline import keys
from cry_pipeline.artefacts import write_html, write_table
from cry_pipeline.catalog import Catalog, ExperimentSpec, digest
from cry_pipeline.evaluation.comparisons import compare, holm
from cry_pipeline.evaluation.findings import SMALLEST_DIFFERENCE, Comparison
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.records import METRIC_NAMES, NOT_RUN, Evidence
from cry_pipeline.reports.figures import comparisons as comparison_plots
from cry_pipeline.reports.page_keys import TEMPLATES, page_spec
from cry_pipeline.reports.pages import Picture, fill, kept_table, picture

STAGE = "hybrid_ablation"
PAGE, TABLE = "hybrid_ablation.html", "hybrid_ablation.parquet"
KIND = "lfeb_attention_lstm"
PLANES = ("spectrogram", "mel", "mfcc")
HYBRID = "hybrid"


@dataclass(frozen=True)
class Variant:
    """One experiment of an ablation: ``plane`` is :data:`HYBRID` or the only plane that its network sees.

    ``found`` is None where it was not run; ``comparison`` is hybrid − this one, None where either was not run.
    """

    plane: str
    experiment: str
    found: Evidence | None
    comparison: Comparison | None = None

    @property
    def words(self) -> str:
        """What the comparison says, after Holm's correction."""
        held = self.comparison
        if held is None:
            return ""
        return f"the hybrid is {held.shown}" if held.shown else "no difference shown"


@dataclass(frozen=True)
class Ablation:
    """A hybrid experiment, and those that differ in nothing but their planes: same rows, folds, size and seed."""

    cohort: str
    feature_set: str
    protocol: str
    model: str
    seed: int
    variants: tuple[Variant, ...]

    @property
    def comparisons(self) -> list[Comparison]:
        """Hybrid − each single plane that was run."""
        return [each.comparison for each in self.variants if each.comparison]

    @property
    def sentence(self) -> str:
        """What follows, in words."""
        held = [each for each in self.variants if each.comparison]
        if not held:
            return "Nothing can be compared yet: the hybrid or all single planes were not run."
        better = [each.plane for each in held if each.words == "the hybrid is better"]
        worse = [each.plane for each in held if each.words == "the hybrid is worse"]
        if not better and not worse:
            return f"That the hybrid image differs from {_or(each.plane for each in held)} alone is not shown."
        said = [f"is better than {_and(better)} alone"] if better else []
        said += [f"is worse than {_and(worse)} alone"] if worse else []
        open_ = [each.plane for each in held if each.plane not in (*better, *worse)]
        rest = f"; that it differs from {_or(open_)} alone is not shown" if open_ else ""
        return f"The hybrid image {' and '.join(said)}{rest}."


@dataclass(frozen=True)
class AblationReport:
    """Ablations on disk: digest of what went in, table, page, and whether it was there and current."""

    digest: str
    table: pd.DataFrame
    page: Path
    reused: bool


def planes_of(catalog: Catalog, model: str) -> tuple[str, ...]:
    """Return the planes of the image that ``model`` sees; empty where it is not of the article's kind."""
    spec = catalog.models[model]
    return tuple(getattr(spec, "planes", PLANES)) if spec.kind == KIND else ()


def ablation_experiments(catalog: Catalog) -> list[tuple[str, dict[str, str]]]:
    """Return (hybrid experiment, single-plane experiments by plane) of the catalog, on folds that keep donors apart."""
    grouped = {name: of for name, of in catalog.experiments.items() if catalog.protocols[of.protocol].grouped}
    found = []
    for name, of in grouped.items():
        if planes_of(catalog, of.model) != PLANES:
            continue
        singles = {
            plane: other
            for plane in PLANES
            for other, its in grouped.items()
            if planes_of(catalog, its.model) == (plane,) and _kin(catalog, its) == _kin(catalog, of)
        }
        if singles:
            found.append((name, singles))
    return found


def ablation_names(catalog: Catalog) -> list[str]:
    """Return the experiments that any ablation may show; their out-of-fold predictions are needed."""
    return sorted({each for name, singles in ablation_experiments(catalog) for each in (name, *singles.values())})


def ablations(catalog: Catalog, evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold]) -> list[Ablation]:
    """Compare each hybrid run with its single planes, in the headline metric; Holm over each ablation's table.

    Args:
        catalog: says what differs in planes only.
        evidence: of any of its experiments.
        runs: out-of-fold predictions by experiment, of those with evidence that :func:`ablation_names` names.

    Raises:
        EvidenceError: two runs are of other recordings or folds; see comparisons.py.
    """
    by_name = {found.provenance.experiment: found for found in evidence}
    made = []
    for name, singles in ablation_experiments(catalog):
        of, hybrid = catalog.experiments[name], by_name.get(name)
        variants = [Variant(plane, other, by_name.get(other)) for plane, other in singles.items()]
        run = [each for each in variants if hybrid and each.found]
        compared = holm(
            [
                compare(
                    replace(runs[name], name=name),
                    replace(runs[each.experiment], name=each.experiment),
                    metric=hybrid.headline_metric,
                )
                for each in run
                if hybrid
            ]
        )
        by_experiment = dict(zip((each.experiment for each in run), compared, strict=True))
        variants = [replace(each, comparison=by_experiment.get(each.experiment)) for each in variants]
        first = Variant(HYBRID, name, hybrid)
        made.append(Ablation(of.cohort, of.feature_set, of.protocol, of.model, of.seed, (first, *variants)))
    return made


def ablation_table(found: Sequence[Ablation]) -> pd.DataFrame:
    """Return one row per variant, in the page's order.

    Columns: cohort, feature_set, protocol, plane, experiment, status (``run`` or ``not run``); metric, value, low,
    high, chance, accuracy, majority_rate, verdict; difference (hybrid − this one), difference_low, difference_high,
    p_value, p_adjusted, words. Missing where there is no evidence, or nothing to compare.
    """
    return pd.DataFrame([_row(each, variant) for each in found for variant in each.variants], columns=COLUMNS)


COLUMNS = [
    *("cohort", "feature_set", "protocol", "plane", "experiment", "status", "metric", "value", "low", "high", "chance"),
    *("accuracy", "majority_rate", "verdict", "difference", "difference_low", "difference_high", "p_value"),
    *("p_adjusted", "words"),
]


def ablation_spec(catalog: Catalog) -> dict[str, object]:
    """Return what, besides evidence, the report is made of, as it enters its key."""
    return page_spec(STAGE, experiments=[list(each) for each in ablation_experiments(catalog)])


def ablation_html(found: Sequence[Ablation]) -> str:
    """Return the page: a table, a sentence and a figure for each ablation."""
    shown = [variant.found for each in found for variant in each.variants if variant.found]
    return fill(
        TEMPLATES[STAGE],
        page=PAGE,
        title="Hybrid ablation",
        synthetic=any(one.synthetic for one in shown),
        ablations=[(each, _picture(each)) for each in found],
        not_run=dict.fromkeys(
            sorted({one.experiment for each in found for one in each.variants if not one.found}), NOT_RUN
        ),
        metric_names=METRIC_NAMES,
        smallest=SMALLEST_DIFFERENCE,
    )


def write_ablation(
    catalog: Catalog, evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold], folder: Path
) -> AblationReport:
    """Write ``hybrid_ablation.html`` and ``.parquet`` to ``folder``, each atomically, unless they are current."""
    names, page = set(ablation_names(catalog)), folder / PAGE
    key = keys.key(
        STAGE,
        ablation_spec(catalog),
        {"evidence": sorted(found.digest for found in evidence if found.provenance.experiment in names)},
    )
    kept = kept_table(page, folder / TABLE, key)
    if kept is not None:
        return AblationReport(key, kept, page, reused=True)
    found = ablations(catalog, evidence, runs)
    table = ablation_table(found)
    write_html(page, ablation_html(found), key)
    write_table(folder / TABLE, table, key)
    return AblationReport(key, table, page, reused=False)


def _kin(catalog: Catalog, of: ExperimentSpec) -> tuple:
    """Return all that decides a run but the planes."""
    model = catalog.models[of.model].model_dump(mode="json", exclude={"description", "planes"})
    return of.cohort, of.feature_set, of.protocol, of.seed, digest(spec=model)


def _picture(of: Ablation) -> Picture | None:
    if not of.comparisons:
        return None
    names = [f"hybrid − {each.plane}" for each in of.variants if each.comparison]
    words = f"Differences between the hybrid and single planes on {of.cohort}, as in the table."
    return picture(lambda theme: comparison_plots.differences(of.comparisons, names, "hybrid better", theme), words)


def _row(of: Ablation, variant: Variant) -> dict[str, str | float | None]:
    found, held = variant.found, variant.comparison
    row: dict[str, str | float | None] = {
        "cohort": of.cohort,
        "feature_set": of.feature_set,
        "protocol": of.protocol,
        "plane": variant.plane,
        "experiment": variant.experiment,
        "status": "run" if found else "not run",
        "words": variant.words,
    }
    if found:
        row |= {
            "metric": found.headline_metric,
            "value": found.headline.value,
            "low": found.headline.low,
            "high": found.headline.high,
            "chance": found.chance,
            "accuracy": found.metrics["accuracy"].value,
            "majority_rate": found.majority_rate,
            "verdict": found.verdict,
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


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]


def _or(names: Iterable[str]) -> str:
    return _and(list(names)).replace(" and ", " or ")
