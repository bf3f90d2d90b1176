"""What evidence is put together from: intervals, nulls, comparisons, probes, calibration; small and serializable.

Belongs here: fields, and what follows from a finding alone. Does not: computing them (resampling.py,
comparisons.py, probes.py, calibration.py), or the record that holds them all (records.py).
"""

from collections.abc import Sequence
from itertools import groupby
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

SIGNIFICANCE = 0.05
LEVEL = 0.025
"""Of the one-sided test that a run is above chance: as often, at most, is it said of one that knows nothing."""
ROUNDING = 1e-9
"""Less than so much is an error of floating-point sums, not a difference."""
SMALLEST_DIFFERENCE = 0.0005
"""Less is not called better or worse, however sure: tables and pages have three decimals, in which it is 0.000."""
LOWER_IS_BETTER = frozenset({"brier", "log_loss"})

Shortcut = Literal["platform", "metadata", "loudness", "all metadata", "donor identity"]
SHORTCUTS: tuple[Shortcut, ...] = ("platform", "metadata", "loudness", "all metadata", "donor identity")
"""What may go with a label without being in the cry, in the order in which it is reported."""

Alike = Literal["platform", "age band", "platform and age band", "loudness"]
SHORTCUTS_OF: dict[Alike, tuple[Shortcut, ...]] = {
    "platform": ("platform",),
    "age band": ("metadata",),
    "platform and age band": ("platform", "metadata"),
    "loudness": ("loudness",),
}
"""What pairs of recordings can be alike in, and the shortcuts that go by it."""


class Record(BaseModel):
    """A frozen part of evidence: no unknown field, no NaN, no infinity."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(Record):
    """A value with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


NullKind = Literal["retrained", "conditional"]


class Null(Record):
    """A metric when the labels are dealt to donors at random.

    ``retrained``: folds were made and models trained on each deal. ``conditional``: the predictions stay as they are,
    and the deals' distances from their mean are taken ``widening`` times for what training would have added.
    """

    kind: NullKind = "conditional"
    widening: float = 1.0
    mean: float
    sd: float = Field(default=0.0, description="of the deals, widened")
    high: float = Field(description="95 % quantile: one in twenty models that know nothing come out above it")
    p_value: float = Field(description="how often a deal does at least as well; see nulls.p_value_of")
    fitted: bool = Field(default=False, description="whether that is read from a curve fitted to the deals")
    permutations: int
    permutations_lost: int = Field(description="permutations without folds, or in which the metric is undefined")
    histogram_low: float
    histogram_high: float
    histogram: tuple[int, ...] = Field(description="permutations in equal bins from histogram_low to histogram_high")


class Comparison(Record):
    """``first`` against ``second`` on the same folds: the paired difference of a metric, first − second.

    ``between`` says what the interval is about. Between two *models* donors alone make the difference uncertain.
    Between two *methods* training does, too: with other splits and seeds each gives another model.
    """

    first: str
    second: str
    metric: str
    difference: float
    low: float
    high: float
    p_value: float = Field(description="two-sided, from the same resamples as the interval")
    p_adjusted: float | None = Field(default=None, description="by Holm over the table that the comparison is in")
    between: Literal["methods", "models"] = "methods"
    trainings: int = Field(default=1, description="of each: repeats of the folds, with other splits and seeds")
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
    p_value: float = Field(description="that of the probe's own null")
    p_adjusted: float = Field(description="the same, by Holm over the probes of the run")
    comparison: Comparison = Field(description="run − probe, in the headline metric")

    @property
    def above_chance(self) -> bool:
        """Whether the shortcut tells anything of the label at all: what tells nothing explains nothing."""
        return self.p_adjusted <= SIGNIFICANCE

    @property
    def explains(self) -> bool:
        """Whether the shortcut does as well: above chance at all, and the run not better by the paired interval."""
        return self.above_chance and not self.comparison.better


class Conditional(Record):
    """AUC over pairs of recordings that are alike in something: what is told apart where that cannot tell.

    Pairs are of one fold, as for AUC itself. With more than two classes it is the mean over those that have pairs.
    """

    alike: Alike
    groups: int = Field(description="of recordings alike, those of one class among them")
    pairs: float = Field(description="share of the pairs within folds that are alike")
    auc: Interval
    difference: Interval = Field(description="AUC over pairs alike − AUC over all pairs, on the same resamples")

    @property
    def falls_to_chance(self) -> bool:
        """Whether nothing is shown to be told among the alike, and clearly less than among all."""
        return self.auc.low <= 0.5 + ROUNDING and self.difference.high < -ROUNDING

    def explains(self, probes: Sequence[Probe]) -> bool:
        """Whether what the pairs are alike in is all that was told: a shortcut to it is above chance by itself, too."""
        named = SHORTCUTS_OF[self.alike]
        return self.falls_to_chance and any(probe.above_chance for probe in probes if probe.name in named)


class CaseMix(Record):
    """How easy the recordings made it: those near silence, and the AUC without the quiet ones."""

    near_silent_dbfs: float = Field(description="level below which a recording is near silence")
    near_silent: dict[str, float] = Field(description="share of each class' recordings that are")
    loud_dbfs: float
    loud: int = Field(description="recordings above loud_dbfs")
    loud_auc: Interval | None = Field(description="among those; None where a class has none of them")


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

    confidence: float = Field(description="least probability of the answer given")
    coverage: float = Field(description="share of predictions given out")
    accuracy: Interval
    majority_rate: float = Field(description="accuracy of always giving the most frequent class of those")
    uar: Interval
    classes: int = Field(description="classes left in the truth of those; UAR is their mean recall")


class Reliability(Record):
    """How far some probabilities can be taken at their word.

    The curve, ``said`` and ``came_true`` are about the probability of the second class where there are two, else that
    of the answer given. ECE is the mean gap between said and come true over the bins of the curve. Thin bins bias it
    upwards, and resampling thins them further, so that its interval may lie above its value: compare it, do not test
    it against 0.
    """

    brier: Interval
    log_loss: Interval
    ece: Interval
    said: Interval = Field(description="mean probability")
    came_true: Interval = Field(description="share that is true")
    curve: tuple[ReliabilityBin, ...]
    abstention: tuple[AbstentionPoint, ...] = Field(description="from all predictions to the surest")


class Calibration(Record):
    """How far a run's probabilities hold as predicted, and calibrated by slope and intercepts of each fold."""

    of: str = Field(description="which probability the curves are about")
    slope: Interval = Field(description="mean, least and greatest over folds: not a confidence interval")
    intercepts: dict[str, Interval] = Field(description="likewise, by class, relative to the first class")
    as_predicted: Reliability
    calibrated: Reliability | None = Field(description="None where no fold fitted anything")


class RecallPoint(Record):
    """What it takes to find a share of the recordings of a class: the highest threshold that finds so many."""

    recall: float
    specificity: Interval = Field(description="share of the other recordings below the threshold")
    unheard: Interval = Field(description="share of all recordings below the threshold: nobody has to hear them")


class BenefitPoint(Record):
    """The net benefit of hearing just what has at least the probability ``threshold``, in true positives per recording.

    One false alarm is taken to cost ``threshold / (1 − threshold)`` of what a recording that is found is worth.
    """

    threshold: float
    net_benefit: Interval
    hear_all: float = Field(description="net benefit of hearing every recording; of hearing none it is 0")
    gained: Interval = Field(description="net benefit − that of the better of hearing all and hearing none")


class Decisions(Record):
    """What acting on the answers is worth, for one of two classes: calibrated probabilities, one threshold for all."""

    positive: str
    share: float = Field(description="of recordings of the class, in the cohort")
    at_recall: tuple[RecallPoint, ...]
    curve: tuple[BenefitPoint, ...]

    @property
    def gaining(self) -> list[tuple[float, float]]:
        """First and last of each run of thresholds at which something is gained, by the 95 % interval."""
        runs = groupby(self.curve, lambda step: step.gained.low > ROUNDING)
        return [(steps[0].threshold, steps[-1].threshold) for steps in (list(run) for gains, run in runs if gains)]


class Subgroup(Record):
    """A run on the recordings of which the manifest tells one thing, such as a platform; see subgroups.py.

    There is no number where the group has too few donors of some class, and no difference where the others have.
    """

    of: str = Field(description="what is told: a column of the manifest")
    name: str
    recordings: int
    donors: int
    by_class: tuple[int, ...] = Field(description="donors with recordings of each class")
    headline: Interval | None
    difference: Interval | None = Field(description="headline − that of all others of whom something else is told")
    p_adjusted: float | None = Field(description="of the difference, two-sided, by Holm over all subgroups of the run")

    @property
    def differs(self) -> bool:
        """Whether the group is shown to fare otherwise than the others: by its interval and by Holm."""
        if self.difference is None or self.p_adjusted is None:
            return False
        off = self.difference.low > ROUNDING or self.difference.high < -ROUNDING
        return off and self.p_adjusted <= SIGNIFICANCE and abs(self.difference.value) >= SMALLEST_DIFFERENCE
