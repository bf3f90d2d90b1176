"""Power: how often a model that can tell reasons so well would be called above chance, by the number of donors.

Belongs here: made-up corpora drawn from one run's own donors, and the rule of the verdict on each. Does not: that rule
itself (records.py), what a model learns from more donors (learning_curve.py), or pages.

What varies is taken from the corpus as it is. A donor brings a number of recordings and the labels of one donor, and
the scores that a model gave to another (both as :func:`.resampling.deal_labels` deals them), so that scores spread
within donors and between them as they do, and know nothing of labels. Then one number is added to the score of the
true reason, the same for everybody, and chosen so that the UAR over endless many such donors is the one asked for.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from cry_pipeline.evaluation.findings import LEVEL, Record
from cry_pipeline.evaluation.metrics import Floats
from cry_pipeline.evaluation.predictions import OutOfFold
from cry_pipeline.evaluation.resampling import CONFIDENCE, deal_labels

Design = Literal["as donated", "balanced"]
DESIGNS: tuple[Design, ...] = ("as donated", "balanced")
GAINS = (0.02, 0.05, 0.10)
"""True UARs less chance: with five reasons .22, .25 and .30."""
WANTED = 0.8
"""The power that a study is usually planned for: four in five of such studies find what is there."""
ASKED = (100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600)
"""Donors that corpora are made up of."""
CORPORA = 800
DEALS = 400
"""Times that the corpus' donors are made up anew to draw from."""
WIDENING = 1.1
"""By how much the UAR varies more where models are trained anew than where the same answers meet other labels.

Simulated on the corpus, it is 1.03 ± 0.04 times as much for five reasons (see nulls.py, also for the AUC, for which it
is more): this is the upper end. That it stays the same with more donors is assumed.
"""
SMALLEST_SCORE = 1e-12
STEPS = 60


class Curve(Record):
    """Power by the number of donors, for one way of collecting and one true UAR."""

    design: Design
    uar: float
    power: tuple[float, ...] = Field(description="share of corpora that are called above chance, by donors")
    power_tried: tuple[float, ...] = Field(description="the same where the model is one of all that were tried")
    now: float = Field(description="power with as many donors as there are now")
    needed: int | None = Field(description="donors for a power of WANTED; None: more than the most asked")
    needed_tried: int | None


class Power(Record):
    """What it would take to show that the reasons of a cohort can be told."""

    cohort: str
    experiment: str = Field(description="the run whose scores the corpora have")
    recordings: int
    donors: int
    by_class: dict[str, tuple[int, int]] = Field(description="recordings and donors of each reason, as there are now")
    tried: int = Field(description="experiments that asked the same of the cohort")
    chance: float
    asked: tuple[int, ...]
    corpora: int
    curves: tuple[Curve, ...]

    def of(self, design: Design, uar: float) -> Curve:
        """Return one curve."""
        return next(curve for curve in self.curves if (curve.design, curve.uar) == (design, uar))


@dataclass(frozen=True)
class _Kinds:
    """Kinds of donors: those of one kind bring, and get right, the same number of recordings of each class.

    Attributes:
        counts: recordings of each class [kinds, classes].
        hits: of these, how many are answered right, for each effect: none at first, then for each of GAINS.
        pools: how often each kind comes among the donors of each pool [pools, kinds]; of each as many are drawn.
    """

    counts: Floats
    hits: tuple[Floats, ...]
    pools: Floats

    def uars(self) -> list[float]:
        """Return the UAR of each effect over endless many donors."""
        expected = self.pools.mean(axis=0)
        return [float((expected @ found / (expected @ self.counts)).mean()) for found in self.hits]


@dataclass(frozen=True)
class _Donors:
    """Made-up donors: recordings of each class ``counts [donors, classes]``, and what it takes to answer them right.

    ``margins``, ``labels`` and ``donor`` are of their recordings: one is answered right where more than its margin is
    added to the score of its class.
    """

    counts: Floats
    margins: Floats
    labels: NDArray[np.int64]
    donor: NDArray[np.int64]

    def hits(self, added: float) -> Floats:
        """Return the recordings of each class that are answered right ``[donors, classes]``."""
        place = self.donor * self.counts.shape[1] + self.labels
        right = np.bincount(place, weights=self.margins < added, minlength=self.counts.size)
        return right.astype(np.float64).reshape(self.counts.shape)

    def of(self, design: Design) -> _Kinds:
        """Return the kinds of donors to draw from: as they come, or as many for each class as have any of it."""
        classes = self.counts.shape[1]
        has = self.counts > 0 if design == "balanced" else np.ones((len(self.counts), 1), dtype=bool)
        pools = has / has.sum(axis=0)
        hits = [self.hits(added) for added in (0.0, *self._added(pools.mean(axis=1)))]
        # Counts are small: as digits of one number they are told apart far quicker than as rows.
        columns = np.hstack([self.counts, *hits]).astype(np.int64)
        base = int(columns.max()) + 1
        names = np.zeros(len(columns), dtype=np.int64)
        for column in columns.T:
            _, names = np.unique(names * base + column, return_inverse=True)
        _, first, kind = np.unique(names, return_index=True, return_inverse=True)
        weights = np.stack([np.bincount(kind, weights=pool, minlength=len(first)) for pool in pools.T])
        parts = np.split(columns[first].astype(float), range(classes, columns.shape[1], classes), axis=1)
        return _Kinds(parts[0], tuple(parts[1:]), weights / weights.sum(axis=1, keepdims=True))

    def _added(self, weights: Floats) -> list[float]:
        """Return what has to be added to the scores of the true classes for each of GAINS, by bisection."""
        counts, weight = weights @ self.counts, weights[self.donor]

        def uar(added: float) -> float:
            right = np.bincount(self.labels, weights=weight * (self.margins < added), minlength=len(counts))
            return float((right / counts).mean())

        chance, most = uar(0.0), float(self.margins.max()) + 1.0
        return [_rising_to(chance + gain, uar, most) for gain in GAINS]


def power_of(
    rows: OutOfFold,
    *,
    cohort: str,
    tried: int,
    widening: float = WIDENING,
    asked: Sequence[int] = ASKED,
    corpora: int = CORPORA,
    seed: int = 0,
) -> Power:
    """Return how often the verdict of a model of each true UAR would be *above chance*.

    It is where, as for any run, the lower end of the interval over donors lies above chance, and the null is passed at
    LEVEL; divided by ``tried`` for a model that is the best of so many (the first step of Holm's correction). Both
    ends are taken from normal distributions: the interval's from the linearised variance over donors (of which the
    bootstrap is a simulation), the null's from corpora of the same size to whose scores nothing was added. A corpus
    with fewer donors of a reason than there are folds shows nothing, because no folds can be made of it.

    Args:
        rows: the run whose scores are dealt; of several repeats the first.
        cohort: what it is called.
        tried: experiments that asked the same of it.
        widening: see :data:`WIDENING`.
        asked: numbers of donors, rising.
        corpora: made up for each.
        seed: of all draws.
    """
    rng = np.random.default_rng(seed)
    classes, labels = np.unique(rows.labels, return_inverse=True)
    donors = _made_up(rows, labels.astype(np.int64), len(classes), rng)
    own, folds = len(np.unique(rows.donors)), len(np.unique(rows.folds[0]))
    sizes = sorted({*asked, own})
    curves: list[Curve] = []
    for design in DESIGNS:
        kinds = donors.of(design)
        shown = [_shown(_drawn(kinds, size, corpora, rng), kinds, folds, widening, (1, tried)) for size in sizes]
        curves += _curves(design, 1 / len(classes), dict(zip(sizes, np.array(shown), strict=True)), asked, own)
    return Power(
        cohort=cohort,
        experiment=rows.name,
        recordings=len(rows.labels),
        donors=own,
        by_class={
            rows.classes[code]: (int((rows.labels == code).sum()), len(np.unique(rows.donors[rows.labels == code])))
            for code in classes
        },
        tried=tried,
        chance=1 / len(classes),
        asked=tuple(asked),
        corpora=corpora,
        curves=tuple(curves),
    )


def _rising_to(wanted: float, of: Callable[[float], float], most: float) -> float:
    """Return where the rising function ``of`` passes ``wanted``, between 0 and ``most``."""
    low, high = 0.0, most
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if of(middle) < wanted else (low, middle)
    return high


def _curves(
    design: Design, chance: float, shown: Mapping[int, Floats], asked: Sequence[int], own: int
) -> Iterator[Curve]:
    """Yield the curve of each gain; ``shown [gains, alone or among all]`` by number of donors."""
    for place, gain in enumerate(GAINS):
        alone, among = ({size: float(shares[place, column]) for size, shares in shown.items()} for column in (0, 1))
        yield Curve(
            design=design,
            uar=round(chance + gain, 4),
            power=tuple(alone[size] for size in asked),
            power_tried=tuple(among[size] for size in asked),
            now=alone[own],
            needed=_needed(alone),
            needed_tried=_needed(among),
        )


def _made_up(rows: OutOfFold, labels: NDArray[np.int64], classes: int, rng: np.random.Generator) -> _Donors:
    """Return DEALS times as many donors as there are: the scores of one, the labels of another."""
    _, donor = np.unique(rows.donors, return_inverse=True)
    order = np.argsort(donor, kind="stable")
    dealt = np.concatenate(list(deal_labels(labels, rows.donors, permutations=DEALS, seed=int(rng.integers(2**31)))))
    scores = _even(rows.probabilities[0][:, np.unique(rows.labels)], rng)
    others = np.stack([np.delete(scores, code, axis=1).max(axis=1) for code in range(classes)], axis=1)
    margins = np.take_along_axis((others - scores)[None], dealt[:, :, None], axis=2)[:, :, 0]
    whose = donor[order] + np.arange(DEALS)[:, None] * (donor.max() + 1)
    counts = np.zeros((DEALS * (donor.max() + 1), classes))
    np.add.at(counts, (whose.ravel(), dealt[:, order].ravel()), 1.0)
    return _Donors(counts, margins[:, order].ravel(), dealt[:, order].ravel(), whose.ravel())


def _even(probabilities: Floats, rng: np.random.Generator) -> Floats:
    """Return scores ``[recordings, classes]`` by which each class is answered about equally often.

    A model that hardly ever answers with the rare reasons has a UAR near chance that hardly varies: it would seem to
    need few donors to show what it does not do. UAR asks for all reasons alike, and so does the model here.
    """
    scores = np.log(np.maximum(probabilities, SMALLEST_SCORE))
    scores -= scores.mean(axis=1, keepdims=True)
    spread = scores.std() or 1.0
    scores = scores / spread + rng.normal(0, 1e-6, scores.shape)  # no ties: trees answer with few values
    classes = scores.shape[1]
    for step in range(STEPS):
        shares = np.bincount(scores.argmax(axis=1), minlength=classes) / len(scores)
        scores = scores - (shares * classes - 1) / (2 + step / 4)
    return scores


@dataclass(frozen=True)
class _Measured:
    """Made-up corpora: their UAR and its standard error ``[effects, corpora]``, and the fewest donors of a class."""

    uars: Floats
    errors: Floats
    fewest: Floats


def _drawn(kinds: _Kinds, size: int, corpora: int, rng: np.random.Generator) -> _Measured:
    """Draw corpora of ``size`` donors and measure them.

    The variance of a mean of ratios Σh/Σn over donors is Σ ψ², with each donor's ψ = mean over classes of (h − r·n)/Σn
    (linearisation; Särndal et al. 1992, Model Assisted Survey Sampling, § 5.5).
    """
    pools = len(kinds.pools)
    each = [size // pools + (place < size % pools) for place in range(pools)]
    drawn = np.zeros((corpora, len(kinds.counts)))
    for many, pool in zip(each, kinds.pools, strict=True):
        drawn += rng.multinomial(many, pool, size=corpora)
    totals, uars, errors = drawn @ kinds.counts, [], []
    with np.errstate(divide="ignore", invalid="ignore"):  # a corpus that lacks a class is not used
        for found in kinds.hits:
            recalls = drawn @ found / totals
            # ψ of each kind in each corpus: h/Σn − (r/Σn)·n, a product of matrices.
            influence = ((1 / totals) @ found.T - (recalls / totals) @ kinds.counts.T) / totals.shape[1]
            uars.append(recalls.mean(axis=1))
            errors.append(np.sqrt((drawn * influence**2).sum(axis=1)))
    return _Measured(np.array(uars), np.array(errors), (drawn @ (kinds.counts > 0)).min(axis=1))


def _shown(measured: _Measured, kinds: _Kinds, folds: int, widening: float, tried: Sequence[int]) -> list[list[float]]:
    """Return the share of corpora that are called above chance, for each gain and each number of models tried."""
    from scipy.stats import norm

    chance, *truths = kinds.uars()
    usable = measured.fewest >= folds
    if usable.sum() < 2:
        return [[0.0] * len(tried) for _ in truths]
    spread = widening * float(measured.uars[0, usable].std(ddof=1))
    ends, shares = norm.isf((1 - CONFIDENCE) / 2), []
    for truth, uars, errors in zip(truths, measured.uars[1:], measured.errors[1:], strict=True):
        found = truth + widening * (uars[usable] - truth)
        above = found - ends * errors[usable] > chance
        passed = [above & (found > chance + norm.isf(LEVEL / many) * spread) for many in tried]
        shares.append([float(corpora.sum() / len(usable)) for corpora in passed])
    return shares


def _needed(power: Mapping[int, float]) -> int | None:
    """Return the donors at which power passes WANTED, to two digits; between sizes z(power) is straight in √donors."""
    from scipy.stats import norm

    sizes = list(power)
    passed = next((place for place, size in enumerate(sizes) if power[size] >= WANTED), None)
    if not passed:
        return None if passed is None else sizes[0]
    ends = sizes[passed - 1 : passed + 1]
    scores = norm.ppf(np.clip([power[size] for size in ends], 0.001, 0.999))
    exact = float(np.interp(norm.ppf(WANTED), scores, np.sqrt(ends))) ** 2
    digits = 10 ** max(0, int(np.log10(exact)) - 1)
    return int(round(exact / digits) * digits)
