"""The leakage ladder: one model under ever more honest protocols, and what each mistake adds to its figure.

Belongs here: which experiments are the rungs, the step from one protocol to the honest one, table and page. Does
not: evidence (evidence.py), and the figure (figures/comparisons.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pandas as pd

from cry_pipeline import keys
from cry_pipeline.artefacts import write_html, write_table
from cry_pipeline.catalog import Catalog, ExperimentSpec
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.records import HONEST, METRIC_NAMES, NOT_RUN, Evidence
from cry_pipeline.evaluation.resampling import donor_bootstrap, percentile_interval
from cry_pipeline.reports.figures import comparisons as comparison_plots
from cry_pipeline.reports.page_keys import TEMPLATES, page_spec
from cry_pipeline.reports.pages import fill, kept_table, picture

STAGE = "leakage_ladder"
PAGE, TABLE = "leakage_ladder.html", "leakage_ladder.parquet"
RUNGS = MappingProxyType(
    {
        "augment_then_split": "copies made before the split: tested on copies of what was trained on",
        "clip_stratified": "split by clip: tested on donors that were trained on",
        "donor_grouped": "split by donor: tested on donors not trained on",
    }
)
"""Kinds of protocols, from the most leaking to the honest one, with what each does."""
FIRST_MODELS = ("lfeb_attention_lstm", "random_forest")
"""Kinds of models that the ladder is about; further models of the catalog follow them."""
RESAMPLES = 1000


@dataclass(frozen=True)
class Rung:
    """One protocol of a ladder.

    ``experiment`` is None where the catalog has none, ``found`` where it was not run; ``step`` is the headline metric
    minus that of the donor-grouped rung, None where either is missing and on the donor-grouped rung itself.
    """

    kind: str
    words: str
    experiment: str | None
    found: Evidence | None
    step: Interval | None = None


class Ladder(NamedTuple):
    """One model on one cohort, its rungs from the most leaking one down."""

    cohort: str
    feature_set: str
    model: str
    kind: str
    seed: int
    rungs: tuple[Rung, ...]

    @property
    def shown(self) -> bool:
        """Whether any rung was run."""
        return any(rung.found for rung in self.rungs)


@dataclass(frozen=True)
class LadderReport:
    """A ladder on disk: digest of what went in, table, page, and whether it was there and current."""

    digest: str
    table: pd.DataFrame
    page: Path
    reused: bool


def rung_experiments(catalog: Catalog) -> dict[tuple[str, str, str, int], dict[str, list[str]]]:
    """Return the experiments of each ladder by kind of protocol; keys are (cohort, feature set, model, seed).

    A ladder is what has a leaking protocol in the catalog. Of several protocols of one kind, that of the most repeats
    comes first: it hangs the least on one split.
    """

    def kin(item: tuple[str, ExperimentSpec]) -> tuple[str, str, str, int]:
        of = item[1]
        return of.cohort, of.feature_set, of.model, of.seed

    ladders = {}
    for key, group in groupby(sorted(catalog.experiments.items(), key=kin), kin):
        by_kind: dict[str, list[str]] = {}
        for name, experiment in group:
            kind = catalog.protocols[experiment.protocol].kind
            if kind in RUNGS:
                by_kind.setdefault(kind, []).append(name)
        for names in by_kind.values():
            names.sort(key=lambda name: (-catalog.protocols[catalog.experiments[name].protocol].repeats, name))
        if set(by_kind) - {HONEST}:
            ladders[key] = by_kind
    return ladders


def ladder_names(catalog: Catalog) -> list[str]:
    """Return the experiments that any ladder may show; their out-of-fold predictions are needed."""
    return [name for by_kind in rung_experiments(catalog).values() for names in by_kind.values() for name in names]


def ladders(catalog: Catalog, evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold]) -> list[Ladder]:
    """Return the ladders of the catalog: LFEB and random forest first, of each the ones that were run first.

    Args:
        catalog: says which ladders there are.
        evidence: of any of its experiments; what is missing is a rung without ``found``.
        runs: out-of-fold predictions by experiment, of those with evidence that :func:`ladder_names` names.
    """
    by_name = {found.provenance.experiment: found for found in evidence}
    made = []
    for (cohort, feature_set, model, seed), by_kind in rung_experiments(catalog).items():
        rungs = []
        for kind, words in RUNGS.items():
            names = by_kind.get(kind, [])
            name = next((name for name in names if name in by_name), names[0] if names else None)
            rungs.append(Rung(kind, words, name, by_name.get(name or "")))
        honest = rungs[-1]
        steps = tuple(_stepped(rung, honest, runs) for rung in rungs)
        made.append(Ladder(cohort, feature_set, model, catalog.models[model].kind, seed, steps))
    return sorted(made, key=_place)


def step(first: OutOfFold, second: OutOfFold, metric: str, *, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """Return ``first`` − ``second`` in ``metric`` with its interval, drawing the same donors for both.

    Unlike :func:`cry_pipeline.evaluation.comparisons.compare` it takes runs on other folds, and with other copies of
    the recordings: that is what a ladder is about. Only the donors must be the same.

    Raises:
        EvidenceError: the runs are of other donors, or no resample has every class.
    """
    if not np.array_equal(np.unique(first.donors), np.unique(second.donors)):
        raise EvidenceError(
            f"{first.name} and {second.name} are of other donors, so that their difference means nothing; make the "
            "folds and runs of both anew, on the recordings of now."
        )
    split = len(first.donors)

    def difference(weights: Floats | None) -> dict[str, Floats]:
        own, other = (None, None) if weights is None else (weights[..., :split], weights[..., split:])
        return {metric: measure(first, own, (metric,))[metric] - measure(second, other, (metric,))[metric]}

    donors = np.concatenate([first.donors, second.donors])
    samples, lost = donor_bootstrap(difference, donors, resamples=resamples, seed=seed)
    if lost == resamples:
        raise EvidenceError("No resample of the donors has every class; use a cohort with more donors per class.")
    low, high = percentile_interval(samples[metric])
    return Interval(value=float(difference(None)[metric]), low=low, high=high)


def ladder_table(found: Sequence[Ladder]) -> pd.DataFrame:
    """Return one row per rung, in the page's order.

    Columns: cohort, feature_set, model, protocol (its kind), experiment (empty: not in the catalog), status (``run``,
    ``not run`` or ``not in the catalog``); recordings (copies counted), shared_donors, metric, value, low, high,
    chance, step, step_low, step_high (against donor_grouped), accuracy, majority_rate, macro_f1, verdict,
    qualification; missing where there is no evidence.
    """
    return pd.DataFrame([_row(ladder, rung) for ladder in found for rung in ladder.rungs], columns=COLUMNS)


COLUMNS = [
    *("cohort", "feature_set", "model", "protocol", "experiment", "status", "recordings", "shared_donors", "metric"),
    *("value", "low", "high", "chance", "step", "step_low", "step_high", "accuracy", "majority_rate", "macro_f1"),
    *("verdict", "qualification"),
]


def ladder_spec(catalog: Catalog) -> dict[str, object]:
    """Return what, besides evidence, the report is made of, as it enters its key."""
    rungs = [[list(key), by_kind] for key, by_kind in rung_experiments(catalog).items()]
    return page_spec(STAGE, rungs=rungs)


def ladder_html(found: Sequence[Ladder]) -> str:
    """Return the page: one table and one figure, and what is missing of LFEB and random forest."""
    shown = [ladder for ladder in found if ladder.shown]
    words = "Headline metric and accuracy of each model under each protocol; the table holds the same numbers."
    return fill(
        TEMPLATES[STAGE],
        page=PAGE,
        title="Leakage ladder",
        synthetic=any(rung.found.synthetic for ladder in shown for rung in ladder.rungs if rung.found),
        ladders=shown,
        figure=picture(lambda theme: comparison_plots.ladder(shown, theme), words) if shown else None,
        rungs=RUNGS,
        not_run={
            rung.experiment: NOT_RUN for ladder in found for rung in ladder.rungs if rung.experiment and not rung.found
        },
        absent=[kind for kind in FIRST_MODELS if kind not in {ladder.kind for ladder in found}],
        metric_names=METRIC_NAMES,
    )


def write_ladder(
    catalog: Catalog, evidence: Sequence[Evidence], runs: Mapping[str, OutOfFold], folder: Path
) -> LadderReport:
    """Write ``leakage_ladder.html`` and ``.parquet`` to ``folder``, each atomically, unless they are current."""
    names, page = set(ladder_names(catalog)), folder / PAGE
    key = keys.key(
        STAGE,
        ladder_spec(catalog),
        {"evidence": sorted(found.digest for found in evidence if found.provenance.experiment in names)},
    )
    kept = kept_table(page, folder / TABLE, key)
    if kept is not None:
        return LadderReport(key, kept, page, reused=True)
    found = ladders(catalog, evidence, runs)
    table = ladder_table(found)
    write_html(page, ladder_html(found), key)
    write_table(folder / TABLE, table, key)
    return LadderReport(key, table, page, reused=False)


def _stepped(rung: Rung, honest: Rung, runs: Mapping[str, OutOfFold]) -> Rung:
    if rung is honest or not rung.found or not honest.found:
        return rung
    of, other = rung.found.provenance.experiment, honest.found.provenance.experiment
    gained = step(runs[of], runs[other], rung.found.headline_metric)
    return Rung(rung.kind, rung.words, rung.experiment, rung.found, gained)


def _place(ladder: Ladder) -> tuple:
    kind = FIRST_MODELS.index(ladder.kind) if ladder.kind in FIRST_MODELS else len(FIRST_MODELS)
    return ladder.cohort, kind, ladder.kind, -sum(rung.found is not None for rung in ladder.rungs), ladder[:5]


def _row(ladder: Ladder, rung: Rung) -> dict[str, str | int | float | None]:
    missing = "not run" if rung.experiment else "not in the catalog"
    row: dict[str, str | int | float | None] = {
        "cohort": ladder.cohort,
        "feature_set": ladder.feature_set,
        "model": ladder.model,
        "protocol": rung.kind,
        "experiment": rung.experiment or "",
        "status": "run" if rung.found else missing,
    }
    if rung.found is None:
        return row
    found, at, gained = rung.found, rung.found.headline, rung.step
    return row | {
        "recordings": found.recordings,
        "shared_donors": found.shared_donors,
        "metric": found.headline_metric,
        "value": at.value,
        "low": at.low,
        "high": at.high,
        "chance": found.chance,
        "step": gained.value if gained else None,
        "step_low": gained.low if gained else None,
        "step_high": gained.high if gained else None,
        "accuracy": found.metrics["accuracy"].value,
        "majority_rate": found.majority_rate,
        "macro_f1": found.metrics["macro_f1"].value,
        "verdict": found.verdict,
        "qualification": found.qualification or "",
    }
