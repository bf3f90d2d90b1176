"""Any two runs on the same folds, or any two feature sets, side by side: what differs, and how sure that is.

Belongs here: which runs can be compared with which, and every comparison that a person may ask for. Does not: the
paired difference itself (comparisons.py), or which runs there are (kept_runs.py).
"""

import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from cry_pipeline.evaluation.comparisons import Draws, draw, holm
from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.kept_runs import KeptRun, before
from cry_pipeline.evaluation.predictions import EvidenceError, OutOfFold
from cry_pipeline.evaluation.resampling import RESAMPLES
from cry_pipeline.evaluation.trainings import both_guess, lacking
from cry_pipeline.training.fold_folders import DamagedFoldError

LOG = logging.getLogger("cry_pipeline")
METRICS = ("auc", "uar", "macro_f1", "average_precision", "accuracy", "brier", "log_loss")
"""What runs are compared in, the headline first; what two classes have and more have not is left out there."""


@dataclass(frozen=True)
class Group:
    """Runs that tested the same recordings in the same folds: any two of them can be compared.

    Attributes:
        runs: in the order that they are shown in.
        draws: by metric, the headline first: all runs on the same resamples of the donors.
    """

    runs: tuple[KeptRun, ...]
    draws: Mapping[str, Draws]

    @property
    def headline(self) -> str:
        """The metric that a comparison is decided by."""
        return self.runs[0].evidence.headline_metric

    def comparison(self, first: int, second: int, metric: str | None = None) -> Comparison:
        """Return run ``first`` − run ``second`` in ``metric``, by default the headline; of no table: without Holm."""
        return self.draws[metric or self.headline].difference(first, second)

    def against_all(self, first: int) -> list[Comparison]:
        """Return run ``first`` − each other run, in their order, in the headline, with Holm over all of these."""
        return holm([self.comparison(first, second) for second in range(len(self.runs)) if second != first])


@dataclass(frozen=True)
class Pair:
    """Two runs of one group, and the difference of the first less the second in the headline."""

    first: KeptRun
    second: KeptRun
    comparison: Comparison

    @property
    def kept_back(self) -> str:
        """Why nothing is said of the two, in words; empty where something is: see :func:`trainings.lacking`."""
        guessing = both_guess(self.first.evidence, self.second.evidence)
        return lacking(self.comparison, network=False, guessing=guessing)


@dataclass(frozen=True)
class FeatureSetPair:
    """Two feature sets, by digest: the same models on the same folds with each, Holm over them."""

    first: str
    second: str
    pairs: tuple[Pair, ...]


def group_runs(kept: Iterable[KeptRun], *, resamples: int = RESAMPLES, seed: int = 0) -> list[Group]:
    """Return ``kept`` by what they tested, with their resamples; a damaged run is said and left out.

    Args:
        kept: in the order that they are to be shown in.
        resamples: of the donors.
        seed: of the resampling; by default the donors are those that evidence draws.

    Raises:
        EvidenceError: no resample has every class.
    """
    found: dict[tuple[str, str, str], list[tuple[KeptRun, OutOfFold]]] = {}
    for run in kept:
        try:
            found.setdefault(run.folds, []).append((run, run.rows()))
        except (DamagedFoldError, EvidenceError) as error:
            LOG.warning("%s cannot be compared: %s", run.name, error)
    return [_group(of, resamples, seed) for of in found.values()]


def compare_runs(first: KeptRun, second: KeptRun) -> Group:
    """Return the group of just these two.

    Raises:
        EvidenceError: they are of other recordings, donors, labels, classes or folds; or as :meth:`KeptRun.rows`.
        DamagedFoldError: as :meth:`KeptRun.rows`.
    """
    return _group([(run, run.rows()) for run in (first, second)], RESAMPLES, 0)


def edits(groups: Sequence[Group], now: Iterable[str]) -> list[Pair]:
    """Return each run of now less the one before it of the same experiment, where there is one; Holm over all.

    Args:
        groups: of runs of now and of before.
        now: digests of the runs of now.
    """
    current = set(now)
    found = []
    for group in groups:
        for place, run in enumerate(group.runs):
            if run.digest not in current:
                continue
            others = [other for other in group.runs if other.experiment == run.experiment]
            earlier = before(run, sorted(others, key=lambda other: other.started_at, reverse=True))
            if earlier:
                found.append(Pair(run, earlier, group.comparison(place, group.runs.index(earlier))))
    return _corrected(found)


def feature_set_pairs(groups: Sequence[Group], now: Iterable[str]) -> list[FeatureSetPair]:
    """Return every two feature sets with which the same models were run on the same folds.

    Models are the same that were made from the same parameters, code and libraries. Of several runs with a feature set
    that of now is taken, then the one trained last.

    Args:
        groups: of runs; sets come in the order in which runs name them first.
        now: digests of the runs of now.
    """
    current = set(now)
    sets = dict.fromkeys(run.evidence.provenance.feature_digest for group in groups for run in group.runs)
    pairs = (feature_set_pair(groups, first, second, current) for first, second in combinations(sets, 2))
    return [pair for pair in pairs if pair.pairs]


def feature_set_pair(groups: Sequence[Group], first: str, second: str, now: Collection[str]) -> FeatureSetPair:
    """Return what :func:`feature_set_pairs` returns of the two feature sets with these digests; it may be empty."""
    found = [pair for group in groups for pair in _alike(group, first, second, now)]
    return FeatureSetPair(first, second, tuple(_corrected(found)))


def _alike(group: Group, first: str, second: str, current: Collection[str]) -> Iterator[Pair]:
    """Yield the pairs of runs that differ in their feature set only."""
    kin: dict[str, dict[str, int]] = {}
    for place, run in sorted(
        enumerate(group.runs), key=lambda item: (item[1].digest in current, item[1].started_at), reverse=True
    ):
        if run.hears:
            made_of = json.dumps([run.made_from[part] for part in ("spec", "revision", "libraries")], sort_keys=True)
            kin.setdefault(made_of, {}).setdefault(run.evidence.provenance.feature_digest, place)
    for places in kin.values():
        if first in places and second in places:
            at = places[first], places[second]
            yield Pair(group.runs[at[0]], group.runs[at[1]], group.comparison(*at))


def _corrected(pairs: Sequence[Pair]) -> list[Pair]:
    adjusted = holm([pair.comparison for pair in pairs])
    return [Pair(pair.first, pair.second, comparison) for pair, comparison in zip(pairs, adjusted, strict=True)]


def _group(of: Sequence[tuple[KeptRun, OutOfFold]], resamples: int, seed: int) -> Group:
    runs, rows = zip(*of, strict=True)
    evidence = runs[0].evidence
    metrics = [name for name in METRICS if name in evidence.metrics and name != evidence.headline_metric]
    names = [evidence.headline_metric, *metrics]
    return Group(runs, {name: draw(rows, name, resamples=resamples, seed=seed) for name in names})
