"""What evidence is put together from: intervals, nulls, comparisons, probes, calibration; small and serializable.

Belongs here: fields, and what follows from a finding alone. Does not: computing them (resampling.py,
comparisons.py, probes.py, calibration.py), or the record that holds them all (records.py).
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SIGNIFICANCE = 0.05
ROUNDING = 1e-9
"""Less than so much is an error of floating-point sums, not a difference."""
SMALLEST_DIFFERENCE = 0.0005
"""Less is not called better or worse, however sure: tables and pages have three decimals, in which it is 0.000."""
LOWER_IS_BETTER = frozenset({"brier", "log_loss"})

Shortcut = Literal["platform", "metadata", "donor identity"]
SHORTCUTS: tuple[Shortcut, ...] = ("platform", "metadata", "donor identity")
"""What may go with a label without being in the cry, in the order in which it is reported."""


class Record(BaseModel):
    """A frozen part of evidence: no unknown field, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(Record):
    """A value with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Null(Record):
    """A metric when the labels are dealt to donors at random and the predictions stay as they are."""

    mean: float
    high: float = Field(description="95 % quantile: one in twenty models that know nothing come out above it")
    p_value: float = Field(description="share of permutations that do at least as well, the run itself counted in")
    permutations: int
    permutations_lost: int = Field(description="permutations in which the metric is undefined, not used")
    histogram_low: float
    histogram_high: float
    histogram: tuple[int, ...] = Field(description="permutations in equal bins from histogram_low to histogram_high")


class Comparison(Record):
    """``first`` against ``second`` on the same folds: the paired difference of a metric, first − second."""

    first: str
    second: str
    metric: str
    difference: float
    low: float
    high: float
    p_value: float = Field(description="two-sided, from the same resamples as the interval")
    p_adjusted: float | None = Field(default=None, description="by Holm over the table that the comparison is in")
    resamples: int
    resamples_lost: int = 0

    @property
    def not_worse(self) -> bool:
        """Whether ``first`` is not shown to do worse, by the 95 % interval and by more than the smallest difference."""
        return not self._lies(above=self.metric in LOWER_IS_BETTER)

    @property
    def better(self) -> bool:
        """Whether ``first`` is shown to do better, by the 95 % interval and by more than the smallest difference."""
        return self._lies(above=self.metric not in LOWER_IS_BETTER)

    @property
    def shown(self) -> Literal["better", "worse"] | None:
        """What the comparison shows of ``first`` among the others of its table; None for no difference.

        Its interval leaves out 0, it is no smaller than the smallest difference, and p by Holm is at most 0.05: all
        three are asked for.
        """
        if self.p_adjusted is None or self.p_adjusted > SIGNIFICANCE:
            return None
        if self.better:
            return "better"
        return None if self.not_worse else "worse"

    def _lies(self, *, above: bool) -> bool:
        """Return whether difference and interval lie above 0, or below it, by enough to be called a difference."""
        if above:
            return self.low > ROUNDING and self.difference >= SMALLEST_DIFFERENCE
        return self.high < -ROUNDING and self.difference <= -SMALLEST_DIFFERENCE


class Probe(Record):
    """A shortcut on the same recordings and folds, and the run compared with it."""

    name: Shortcut
    experiment: str | None = Field(description="the run that is the probe; None for one made from the folds alone")
    headline: Interval
    comparison: Comparison = Field(description="run − probe, in the headline metric")

    def explains(self, chance: float) -> bool:
        """Whether the shortcut does as well: above chance at all, and the run not better by the paired interval."""
        return self.headline.value > chance + ROUNDING and not self.comparison.better


class Neighbours(Record):
    """How often the recording nearest in pooled statistics is of the same donor, of those whose donor has others."""

    rate: float
    chance: float = Field(description="expected rate if the nearest recording were any other one")
    recordings: int = Field(description="recordings whose donor has another")


class ReliabilityBin(Record):
    """Predictions of similar probability: what was said, and how often it came true (95 % interval over donors)."""

    low: float
    high: float
    predictions: int
    probability: float = Field(description="mean predicted probability")
    rate: Interval


class AbstentionPoint(Record):
    """What is got right if only predictions with at least ``confidence`` are given out."""

    confidence: float = Field(description="least calibrated probability of the answer given")
    coverage: float = Field(description="share of predictions given out")
    accuracy: Interval
    majority_rate: float = Field(description="accuracy of always giving the most frequent class of those")
    uar: Interval
    classes: int = Field(description="classes left in the truth of those; UAR is their mean recall")


class Calibration(Record):
    """How far probabilities can be taken at their word, before and after the temperature of each fold.

    ``of`` says which probability the curves are about: that of the second class where there are two, else that
    of the answer given. ECE is the mean gap between said and come true over the bins of the curve. Thin bins bias
    it upwards, and resampling thins them further, so that its interval may lie above its value: compare it, do not
    test it against 0.
    """

    of: str
    temperature: Interval = Field(description="mean, least and greatest over folds: not a confidence interval")
    fitted: bool = Field(description="whether any fold has a temperature other than 1")
    brier: Interval
    brier_calibrated: Interval
    log_loss: Interval
    log_loss_calibrated: Interval
    ece: Interval
    ece_calibrated: Interval
    reliability: tuple[ReliabilityBin, ...]
    reliability_calibrated: tuple[ReliabilityBin, ...]
    abstention: tuple[AbstentionPoint, ...] = Field(description="from all predictions to the surest, calibrated")
