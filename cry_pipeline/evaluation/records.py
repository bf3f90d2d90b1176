"""The evidence record: fields, and the rule that turns a number into a verdict.

Belongs here: what evidence holds and says, as read by assets and reports. Does not: computing it, or its
files (evidence.py).
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cry_pipeline.catalog.specs import Catalog

CLIP_LEVEL = "donors on both sides of the split: not evidence about new babies"
ROUNDING = 1e-9
HEADLINES = {"reason": "uar", "cry": "auc"}
METRIC_NAMES = {
    "uar": "UAR",
    "macro_f1": "macro-F1",
    "auc": "AUC",
    "accuracy": "accuracy",
    "average_precision": "average precision",
    "recall_at_95_precision": "recall at 95 % precision",
    "brier": "Brier score",
    "log_loss": "log-loss",
}
"""How each metric of ``Evidence.metrics`` is called where people read it."""

Target = Literal["reason", "cry"]
Verdict = Literal["above chance", "not distinguishable from chance"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Interval(_Record):
    """A value with the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class ClassEvidence(_Record):
    """How much of a class there is, and how much of it is found; no recall where the truth has none of it."""

    recordings: int
    donors: int
    recall: Interval | None


class Provenance(_Record):
    """What evidence rests on: names in the catalog, and digests of what went in."""

    experiment: str
    cohort: str
    feature_set: str
    model: str
    protocol: str
    grouped: bool = Field(description="whether the protocol keeps each donor on one side")
    seed: int
    run_digest: str
    feature_digest: str
    sources: tuple[str, ...] = Field(description="where the cohort's recordings come from")
    details: dict[str, str | int | float | bool] = Field(default_factory=dict, description="versions, seeds, devices")

    @classmethod
    def of(cls, experiment: str, catalog: Catalog, **given: Any) -> Self:
        """Take the names from the catalog's ``experiment``; ``given`` are the digests, sources and details."""
        spec = catalog.experiments[experiment]
        names = spec.model_dump(include={"cohort", "feature_set", "model", "protocol", "seed"})
        return cls(experiment=experiment, grouped=catalog.protocols[spec.protocol].grouped, **names, **given)


class Evidence(_Record):
    """Metrics of one run's out-of-fold predictions, with intervals over donors, and the verdict they support."""

    digest: str
    provenance: Provenance
    target: Target
    classes: tuple[str, ...]
    recordings: int
    donors: int
    shared_donors: int = Field(description="donors tested in more than one fold of a repeat")
    repeats: int
    folds: int
    metrics: dict[str, Interval] = Field(description="means over repeats")
    majority_rate: float = Field(description="accuracy of always giving the most frequent class")
    chance: float = Field(description="value of the headline metric for a model that knows nothing")
    confusion: tuple[tuple[int, ...], ...] = Field(description="predictions [true, predicted], summed over repeats")
    per_class: dict[str, ClassEvidence]
    roc: tuple[tuple[float, ...], ...] = Field(
        description="of two classes, true positive rate [fold, grid] at equal steps"
    )
    resamples: int
    resamples_lost: int = Field(description="resamples without a donor of some class, not used")
    resampling_seed: int
    verdict: Verdict

    @model_validator(mode="after")
    def _verdict_follows(self) -> Self:
        if self.verdict != verdict_of(self.headline, self.chance):
            raise ValueError(f"verdict: {self.verdict!r} does not follow from {self.headline_metric}")
        return self

    @property
    def headline_metric(self) -> str:
        """The metric that the verdict rests on: ``uar`` for a reason, ``auc`` for a cry."""
        return HEADLINES[self.target]

    @property
    def headline(self) -> Interval:
        """The headline metric."""
        return self.metrics[self.headline_metric]

    @property
    def absent_classes(self) -> tuple[str, ...]:
        """Classes without a recording; they are left out of every mean over classes."""
        return tuple(name for name in self.classes if self.per_class[name].recall is None)

    @property
    def qualification(self) -> str | None:
        """What keeps the numbers from speaking about new babies, or None."""
        return None if self.provenance.grouped else CLIP_LEVEL

    @property
    def synthetic(self) -> bool:
        """Whether any recording was generated."""
        return "synthetic" in self.provenance.sources

    @property
    def sentence(self) -> str:
        """The headline and the verdict in one sentence."""
        at, name = self.headline, METRIC_NAMES[self.headline_metric]
        return (
            f"{name} {at.value:.3f} (95 % interval {at.low:.3f} to {at.high:.3f}, chance {self.chance:.3f}; "
            f"{self.recordings} recordings, {self.donors} donors): {self.verdict}"
            + (f"; {self.qualification}" if self.qualification else "")
        )


def verdict_of(headline: Interval, chance: float) -> Verdict:
    """Return ``above chance`` if the interval's lower end lies above chance, by more than rounding."""
    return "above chance" if headline.low > chance + ROUNDING else "not distinguishable from chance"
