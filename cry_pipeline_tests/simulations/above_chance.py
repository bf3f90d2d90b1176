"""How often "above chance" is said of a model that knows nothing: labels dealt, folds made and models trained anew.

Belongs here: the rate of that verdict before probes are asked, and how much wider a null is if training is in it. Does
not: dealing, refitting and p-values, which are those of evidence itself.

Each case is a deal of the corpus' own labels between its own donors, with folds by the protocol and models on the real
features; it is then judged as a run is. Its null by retraining are ``DEALS`` of the other cases, drawn anew for each:
a deal of dealt labels is one more deal of the first, and so nothing has to be trained twice.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np

from cry_pipeline.catalog import RandomForestSpec
from cry_pipeline.engine import Local
from cry_pipeline.evaluation.findings import LEVEL
from cry_pipeline.evaluation.measures import measure
from cry_pipeline.evaluation.nulls import conditional_deals, p_value_of, widened
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.refitting import refit
from cry_pipeline.evaluation.resampling import donor_bootstrap, percentile_interval
from cry_pipeline.evaluation.retrained import DEALS, Cohort, Deals, deal
from cry_pipeline_tests.simulations.installation import Installation, Seen
from cry_pipeline_tests.simulations.rates import Figure, Rate

CASES = 400
RESAMPLES = 500
CHUNK = 10
BEFORE_LEVEL = 0.05
"""What the p-value of a null with predictions as they are, not widened, had to reach before this was simulated."""
EXPERIMENTS = {
    "curation_svm_covariance_donor_grouped": "auc",
    "curation_logistic_regression_donor_grouped": "auc",
    "cleaned_logistic_regression_donor_grouped": "uar",
}
FOREST = RandomForestSpec(kind="random_forest", trees=50)
FOREST_CASES = 150


class Case(NamedTuple):
    """What one model that knows nothing came to."""

    value: float
    low: float
    p_before: float
    p_widened: float
    sd: float
    """Of the null with predictions as they are."""


def simulate(installation: Installation) -> "Iterator[Rate | Figure]":
    """Yield the rates of each experiment's model, before and after, and how much wider nulls are by training."""
    for experiment, metric in EXPERIMENTS.items():
        seen = installation.seen(experiment)
        yield from rates(
            experiment.removesuffix("_donor_grouped"), metric, cases_of(seen, metric, installation.workers)
        )
    seen = installation.seen("curation_logistic_regression_donor_grouped")
    forest = seen._replace(spec=FOREST, values=seen.values.astype(np.float32))
    cases = cases_of(forest, "auc", installation.workers, count=FOREST_CASES)
    yield wider(f"curation, a forest of {FOREST.trees} trees", "auc", cases)


def cases_of(seen: Seen, metric: str, workers: int, *, count: int = CASES, seed: int = 1) -> list[Case]:
    """Return what ``count`` models that know nothing came to; deals that no folds can be made of are left out."""
    deals = deal(Cohort.of(seen.table, seen.classes), seen.protocol, count, seed, Local(workers))
    work = partial(_cases, seen, metric, deals)
    chunks = [range(start, min(start + CHUNK, len(deals.codes))) for start in range(0, len(deals.codes), CHUNK)]
    return list(chain.from_iterable(found for _, found in Local(workers).map(work, chunks)))


def rates(name: str, metric: str, cases: list[Case]) -> "Iterator[Rate | Figure]":
    """Yield how often the verdict is wrong, and how much wider nulls are by training."""
    values, chance = np.array([case.value for case in cases]), 0.5 if metric == "auc" else 0.2
    clear = np.array([case.low for case in cases]) > chance
    rng = np.random.default_rng(0)
    retrained = [
        p_value_of(rng.choice(np.delete(values, place), min(DEALS, len(values) - 1), replace=False), value)
        for place, value in enumerate(values)
    ]
    before = np.array([case.p_before for case in cases]) <= BEFORE_LEVEL
    conditional = np.array([case.p_widened for case in cases]) <= LEVEL
    wrong = {
        "before": (clear & before, None),
        "null by retraining": (clear & (np.array(retrained) <= LEVEL), LEVEL),
        "predictions as they are, widened": (clear & conditional, LEVEL),
    }
    for rule, (called, at_most) in wrong.items():
        yield Rate(f'{name}: "above chance" by {metric.upper()}, {rule}', int(called.sum()), len(cases), at_most)
    yield wider(name, metric, cases)


def wider(name: str, metric: str, cases: list[Case]) -> Figure:
    """Return the SD with training in it against that with predictions as they are."""
    values, conditional = np.array([case.value for case in cases]), np.array([case.sd for case in cases])
    ratio = values.std() / np.sqrt((conditional**2).mean())
    error = ratio / np.sqrt(2 * len(cases))
    found = f"mean {values.mean():.3f}, SD {values.std():.4f}, {ratio:.2f} ± {error:.2f} times as wide"
    return Figure(f"{name}: {metric.upper()} of {len(cases)} models that know nothing", found)


def _cases(seen: Seen, metric: str, deals: Deals, places: range) -> list[Case]:
    return [_case(seen, metric, deals, place) for place in places]


def _case(seen: Seen, metric: str, deals: Deals, place: int) -> Case:
    codes, folds = deals.codes[place], deals.folds[place]
    answers = refit(seen.spec, seen.values, codes, folds, classes=len(seen.classes), seed=place)
    ids = seen.table["recording_id"].to_numpy(str)
    rows = OutOfFold(
        recording_ids=ids,
        donors=seen.donors,
        labels=codes,
        folds=folds,
        probabilities=answers,
        classes=seen.classes,
        slopes=np.ones(folds.shape),
        intercepts=np.zeros(answers.shape),
    )
    samples, _ = donor_bootstrap(
        lambda weights: measure(rows, weights, (metric,)), rows.donors, resamples=RESAMPLES, seed=place
    )
    dealt = conditional_deals(rows, permutations=RESAMPLES, seed=place)[metric]
    dealt = dealt[np.isfinite(dealt)]
    value = float(measure(rows, None, (metric,))[metric])
    before = (1 + int((dealt >= value - 1e-9).sum())) / (1 + len(dealt))
    low = percentile_interval(samples[metric])[0]
    return Case(value, low, before, p_value_of(widened(dealt), value), float(dealt.std()))
