"""How often two methods are told apart of which neither is better: trained once each, and five times.

Belongs here: that rate, by donors alone as before, and by the rule of now. Does not: the rule, which is that of
comparisons.

*Trainings of one method*: the corpus' own labels and features; both runs are the same method with other seeds. A
network whose first layer stays as drawn stands for those that are trained: what such a run is worth hangs on its seed,
too. *Two methods that know nothing*: the corpus' labels are dealt to its donors, and a linear and a kernel method are
trained on them. All are fitted by least squares, in closed form, so that thousands of folds take minutes.

Of methods that know nothing five trainings do not tell enough: other donors would have taught them something else, and
all five learned from the same. So pages say nothing where neither run is above chance, and nothing is promised here.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cry_pipeline.catalog import ProtocolSpec
from cry_pipeline.evaluation.comparisons import Between, Draws
from cry_pipeline.evaluation.findings import Comparison
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.resampling import deal_labels
from cry_pipeline.evaluation.trainings import FEWEST_TRAININGS, with_trainings
from cry_pipeline.folds.splitting import make_folds
from cry_pipeline.side_by_side import in_processes
from cry_pipeline_tests.simulations.installation import Installation
from cry_pipeline_tests.simulations.rates import Figure, Rate

CASES, SPLITS, RESAMPLES = 400, 20, 500
PROMISED = 0.06
UNITS = 100
PENALTY = 30.0
KERNEL_PENALTIES = {"linear": 2.0, "kernel": 0.3}
EXPERIMENT = "curation_logistic_regression_donor_grouped"


class Setting(NamedTuple):
    """What all cases share; ``folds [splits, recordings]`` are other splits of the same donors."""

    values: Floats
    codes: NDArray[np.int64]
    donors: NDArray
    folds: NDArray[np.int64]


Scores = tuple[Floats, Floats]
"""Of the first method and the second, each ``[recordings]``."""
Method = Callable[[Setting, np.random.Generator], Floats]
"""Returns what a training sees of each recording, ``[recordings, values]``."""


def as_drawn(setting: Setting, rng: np.random.Generator) -> Floats:
    """Return the answers of a first layer that stays as it was drawn."""
    count = setting.values.shape[1]
    weights = rng.standard_normal((count, UNITS)) / np.sqrt(count)
    return np.maximum(setting.values @ weights + rng.standard_normal(UNITS), 0)


def half_of_the_values(setting: Setting, rng: np.random.Generator) -> Floats:
    """Return half of the values."""
    count = setting.values.shape[1]
    return setting.values[:, rng.permutation(count)[: count // 2]]


METHODS: Mapping[str, Method] = {
    "a network whose first layer stays as drawn": as_drawn,
    "a regression on half of the values": half_of_the_values,
}


def simulate(installation: Installation) -> "Iterator[Rate | Figure]":
    """Yield the rates for trainings of one method, then for methods that know nothing."""
    seen = installation.seen(EXPERIMENT)
    protocol = ProtocolSpec(kind="donor_grouped", repeats=SPLITS, seed=seen.protocol.seed)
    table = make_folds(seen.table, protocol).sort_values(["repeat", "recording_id"])
    folds = table["fold"].to_numpy(np.int64).reshape(SPLITS, -1)
    setting = Setting(standardised(seen.values), seen.codes, seen.donors, folds)
    for name, method in METHODS.items():
        work = partial(trainings_of_one_method, setting, method)
        yield from rates(f"two trainings of {name}", _done(work, installation.workers), often=PROMISED)
    work = partial(methods_that_know_nothing, setting, hats(setting))
    yield from rates("a linear and a kernel method that know nothing", _done(work, installation.workers))


def standardised(values: Floats) -> Floats:
    """Return ``values`` with mean 0 and standard deviation 1 in each column; outliers are drawn in."""
    spread = values.std(axis=0)
    return np.clip((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1), -20, 20)


class Case(NamedTuple):
    """One case's comparisons: of the first training of each alone and of all, by donors alone and by the rule."""

    once_before: Comparison
    once: Comparison
    often_before: Comparison
    often: Comparison


def rates(name: str, cases: list[Case], *, often: float | None = None) -> "Iterator[Rate | Figure]":
    """Yield how often an interval leaves out 0 and p is at most .05, and how the spread found compares with that said.

    Args:
        name: of what was compared.
        cases: of it.
        often: rate that is promised after several trainings; None for none.
    """
    rules = (
        ("once_before", "one training each, donors alone (before)", None),
        ("once", "one training each", PROMISED),
        ("often_before", f"{FEWEST_TRAININGS} trainings each, donors alone (before)", None),
        ("often", f"{FEWEST_TRAININGS} trainings each", often),
    )
    for field, rule, at_most in rules:
        found = [getattr(case, field) for case in cases]
        wrong = sum(one.p_value <= 0.05 and (one.low > 0 or one.high < 0) for one in found)
        yield Rate(f"{name}, {rule}: told apart", wrong, len(cases), at_most)
        said = np.sqrt(np.mean([((one.high - one.low) / (2 * 1.96)) ** 2 for one in found]))
        spread = np.sqrt(np.mean([one.difference**2 for one in found]))
        yield Figure(f"{name}, {rule}: SD of the difference in AUC", f"{spread:.4f}, said {said:.4f}")


def trainings_of_one_method(setting: Setting, method: Method, case: int) -> Case:
    """Compare two trainings of ``method`` with seeds of their own, on equal splits."""
    rng = np.random.default_rng([case, 3])
    splits = rng.permutation(len(setting.folds))[:FEWEST_TRAININGS]

    def trained(folds: NDArray[np.int64]) -> Floats:
        return least_squares(method(setting, rng), setting.codes, folds)

    scores = [(trained(setting.folds[split]), trained(setting.folds[split])) for split in splits]
    return compared(setting.codes, setting.donors, setting.folds[splits], scores, case)


def methods_that_know_nothing(setting: Setting, ready: Mapping[str, NDArray[np.float32]], case: int) -> Case:
    """Compare two methods trained on dealt labels; ``ready`` is what :func:`hats` returns."""
    codes = next(deal_labels(setting.codes, setting.donors, permutations=1, seed=case))[0]
    splits = np.random.default_rng([case, 4]).permutation(len(setting.folds))[:FEWEST_TRAININGS]
    targets = (codes - codes.mean()).astype(np.float32)
    scores = [(ready["linear"][split] @ targets, ready["kernel"][split] @ targets) for split in splits]
    return compared(codes, setting.donors, setting.folds[splits], scores, case)


def least_squares(seen: Floats, codes: NDArray[np.int64], folds: NDArray[np.int64]) -> Floats:
    """Return out-of-fold scores ``[recordings]`` of a ridge regression on what a training sees."""
    scores = np.empty(len(codes))
    for fold in np.unique(folds):
        test = folds == fold
        mean, spread = seen[~test].mean(axis=0), seen[~test].std(axis=0)
        rows = (seen - mean) / np.where(spread > 0, spread, 1)
        inner = rows[~test].T @ rows[~test] + PENALTY * np.eye(rows.shape[1])
        scores[test] = rows[test] @ np.linalg.solve(inner, rows[~test].T @ (2.0 * codes[~test] - 1))
    return scores


def hats(setting: Setting) -> dict[str, NDArray[np.float32]]:
    """Return, of each kernel method, the matrices that turn labels into out-of-fold scores, ``[splits, n, n]``."""
    products, count = setting.values @ setting.values.T, setting.values.shape[1]
    squares = np.diag(products)
    kernels = {
        "linear": products / count,
        "kernel": np.exp(-(squares[:, None] + squares - 2 * products) / (4 * count)),
    }
    ready = {name: np.zeros((len(setting.folds), *products.shape), np.float32) for name in kernels}
    for name, kernel in kernels.items():
        for split, folds in enumerate(setting.folds):
            for fold in np.unique(folds):
                fit, test = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
                inner = kernel[np.ix_(fit, fit)] + KERNEL_PENALTIES[name] * np.eye(len(fit))
                ready[name][split][np.ix_(test, fit)] = np.linalg.solve(inner, kernel[np.ix_(fit, test)]).T
    return ready


def compared(
    codes: NDArray[np.int64], donors: NDArray, folds: NDArray[np.int64], scores: list[Scores], seed: int
) -> Case:
    """Return what comparisons say of two runs with these scores in each repeat of the folds."""
    areas = Areas(codes == 1, donors, RESAMPLES, seed)
    measured = [
        areas.differences(of_first, of_second, tested)
        for (of_first, of_second), tested in zip(scores, folds, strict=True)
    ]
    observed, drawn = np.array([value for value, _ in measured]), np.array([sample for _, sample in measured])

    def comparison(repeats: int, between: Between) -> Comparison:
        trained = np.array([observed[:repeats], np.zeros(repeats)])
        samples = np.array([drawn[:repeats].mean(axis=0), np.zeros(drawn.shape[1])])
        if between == "methods":
            samples = with_trainings(samples, trained, seed)
        found = Draws(("first", "second"), "auc", between, repeats, trained.mean(axis=1), samples, RESAMPLES, 0)
        return found.difference(0, 1)

    often = FEWEST_TRAININGS
    return Case(
        comparison(1, "models"), comparison(1, "methods"), comparison(often, "models"), comparison(often, "methods")
    )


class Areas:
    """AUC within folds on resamples of the donors, as forms w'Kw of the donors' weights: far quicker than by rows."""

    def __init__(self, positive: NDArray[np.bool_], donors: NDArray, resamples: int, seed: int) -> None:
        _, donor = np.unique(donors, return_inverse=True)
        count = int(donor.max()) + 1
        of_donor = np.zeros((len(donor), count), np.float32)
        of_donor[np.arange(len(donor)), donor] = 1
        self.positive, self.above, self.below = positive, of_donor[positive].T.copy(), of_donor[~positive]
        drawn = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=resamples)
        self.weights = drawn.astype(np.float32)

    def differences(self, first: Floats, second: Floats, folds: NDArray[np.int64]) -> tuple[float, Floats]:
        """Return the difference of two AUCs, and that on each resample ``[resamples]``."""
        paired = self._pairs(folds, np.equal)
        won = paired * (self._won(first) - self._won(second))
        return float(won.sum() / paired.sum()), self._form(won) / self._form(paired)

    def _won(self, scores: Floats) -> Floats:
        return self._pairs(scores, np.greater) + self._pairs(scores, np.equal) / 2

    def _pairs(self, values: NDArray, related: np.ufunc) -> Floats:
        """Return whether each pair of a positive and another recording is so related, ``[positive, others]``."""
        return related(values[self.positive][:, None], values[~self.positive]).astype(np.float32)

    def _form(self, pairs: Floats) -> Floats:
        between = self.above @ pairs @ self.below
        return np.einsum("rd,rd->r", self.weights @ between, self.weights).astype(np.float64)


def _done(work: Callable[[int], Case], workers: int) -> list[Case]:
    return [case for _, case in in_processes(work, range(CASES), workers)]
