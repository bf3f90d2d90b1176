"""The leakage ladder: one model under ever more honest protocols, and what each mistake adds to its figure.

Belongs here: which experiments are the rungs, and the step from one protocol to the honest one. Does not: evidence
(evidence.py), table and page (reports/leakage_ladder.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from cry_pipeline.catalog import Catalog, ExperimentSpec
from cry_pipeline.evaluation.findings import Interval
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.records import HONEST, Evidence
from cry_pipeline.evaluation.resampling import RESAMPLES, donor_bootstrap, percentile_interval

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

    @property
    def status(self) -> str:
        """``run``, ``not run`` or ``not in the catalog``."""
        if self.found:
            return "run"
        return "not run" if self.experiment else "not in the catalog"


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


def rung_experiments(catalog: Catalog) -> dict[tuple[str, str, str, int], dict[str, list[str]]]:
    """Return the experiments of each ladder by kind of protocol; keys are (cohort, feature set, model, seed).

    A ladder is what has a leaking protocol in the catalog. Of several protocols of one kind, that of the most repeats
    comes first: it hangs the least on one split.
    """

    def kin(item: tuple[str, ExperimentSpec]) -> tuple[str, str, str, int]:
        _, experiment = item
        return experiment.cohort, experiment.feature_set, experiment.model, experiment.seed

    ladders = {}
    for key, group in groupby(sorted(catalog.experiments.items(), key=kin), kin):
        by_kind: dict[str, list[str]] = {}
        for name, experiment in group:
            kind = catalog.protocols[experiment.protocol].kind
            if kind in RUNGS:
                by_kind.setdefault(kind, []).append(name)
        for names in by_kind.values():
            names.sort(key=lambda name: (-catalog.protocols[catalog.experiments[name].protocol].repeats, name))
        if not set(by_kind) <= set(HONEST):
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
    by_name = {result.provenance.experiment: result for result in evidence}
    made = []
    for (cohort, feature_set, model, seed), by_kind in rung_experiments(catalog).items():
        rungs = []
        for kind, words in RUNGS.items():
            names = by_kind.get(kind, [])
            name = next((name for name in names if name in by_name), names[0] if names else None)
            rungs.append(Rung(kind, words, name, by_name.get(name or "")))
        honest = rungs[-1]
        stepped = tuple(_stepped(rung, honest, runs) for rung in rungs)
        made.append(Ladder(cohort, feature_set, model, catalog.models[model].kind, seed, stepped))
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
        of_first, of_second = (None, None) if weights is None else (weights[..., :split], weights[..., split:])
        return {metric: measure(first, of_first, (metric,))[metric] - measure(second, of_second, (metric,))[metric]}

    donors = np.concatenate([first.donors, second.donors])
    samples, lost = donor_bootstrap(difference, donors, resamples=resamples, seed=seed)
    if lost == resamples:
        raise EvidenceError("No resample of the donors has every class; use a cohort with more donors per class.")
    low, high = percentile_interval(samples[metric])
    return Interval(value=float(difference(None)[metric]), low=low, high=high)


def _stepped(rung: Rung, honest: Rung, runs: Mapping[str, OutOfFold]) -> Rung:
    if rung is honest or not rung.found or not honest.found:
        return rung
    leaking_run, honest_run = (runs[result.provenance.experiment] for result in (rung.found, honest.found))
    return replace(rung, step=step(leaking_run, honest_run, rung.found.headline_metric))


def _place(ladder: Ladder) -> tuple:
    kind = FIRST_MODELS.index(ladder.kind) if ladder.kind in FIRST_MODELS else len(FIRST_MODELS)
    return ladder.cohort, kind, ladder.kind, -sum(rung.found is not None for rung in ladder.rungs), ladder[:5]
