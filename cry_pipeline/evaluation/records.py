"""The evidence record: fields, and the rule that turns numbers into a verdict.

Belongs here: what evidence holds and says, as read by assets and reports. Does not: its smaller parts
(findings.py), computing it, or its files (evidence.py).
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from cry_pipeline.catalog.specs import Catalog, ProtocolKind
from cry_pipeline.evaluation.findings import (
    ROUNDING,
    SIGNIFICANCE,
    Calibration,
    Interval,
    Neighbours,
    Null,
    Probe,
    Record,
    Shortcut,
)
from cry_pipeline.targets import Target

HONEST: ProtocolKind = "donor_grouped"
"""The kind of protocol that all others are read with: every donor is tested, none by a model trained on them."""
NOT_RUN, DAMAGED = "not run", "its evidence is damaged: materialize it again"
"""Why there is no evidence of an experiment."""
CLIP_LEVEL = "donors on both sides of the split: not evidence about new babies"
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

Verdict = Literal["above chance", "not distinguishable from chance", "explained by a shortcut"]


class ClassEvidence(Record):
    """How much of a class there is, and how much of it is found; no recall where the truth has none of it."""

    recordings: int
    donors: int
    recall: Interval | None


class Provenance(Record):
    """What evidence rests on: names in the catalog, and digests of what went in.

    Files and digests hold ``keeps_donors_apart`` under its first name, ``grouped``: dump by alias.
    """

    experiment: str
    cohort: str
    feature_set: str
    model: str
    protocol: str
    protocol_kind: ProtocolKind
    keeps_donors_apart: bool = Field(
        validation_alias=AliasChoices("keeps_donors_apart", "grouped"),
        serialization_alias="grouped",
        description="whether the protocol keeps each donor on one side, in whatever way",
    )
    seed: int
    run_digest: str
    feature_digest: str
    sources: tuple[str, ...] = Field(description="where the cohort's recordings come from")
    shortcuts: dict[Shortcut, tuple[str, str]] = Field(
        default_factory=dict, description="experiment and run digest of the runs that probe shortcuts on the same folds"
    )
    details: dict[str, str | int | float | bool] = Field(default_factory=dict, description="versions, seeds, devices")

    @classmethod
    def of(cls, experiment: str, catalog: Catalog, **given: Any) -> Self:
        """Take the names from the catalog's ``experiment``; ``given`` are the digests, sources and details."""
        spec = catalog.experiments[experiment]
        names = spec.model_dump(include={"cohort", "feature_set", "model", "protocol", "seed"})
        protocol = catalog.protocols[spec.protocol]
        return cls(
            experiment=experiment,
            protocol_kind=protocol.kind,
            keeps_donors_apart=protocol.keeps_donors_apart,
            **names,
            **given,
        )


class Evidence(Record):
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
    folds_digest: str = Field(description="of recordings, donors, labels and folds; equal ones can be paired")
    nulls: dict[str, Null] = Field(description="of the headline metric and of UAR and AUC")
    probes: tuple[Probe, ...]
    probes_not_run: tuple[Shortcut, ...]
    neighbours: Neighbours | None = Field(description="None where the run reads no features")
    calibration: Calibration
    resamples: int
    resamples_lost: int = Field(description="resamples without a donor of some class, not used")
    resampling_seed: int
    verdict: Verdict

    @model_validator(mode="after")
    def _verdict_follows(self) -> Self:
        if self.verdict != verdict_of(self.headline, self.chance, self.null, self.probes):
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
    def null(self) -> Null:
        """The headline metric when labels are dealt to donors at random."""
        return self.nulls[self.headline_metric]

    @property
    def explanations(self) -> tuple[Probe, ...]:
        """The shortcuts that do as well as the run."""
        return tuple(probe for probe in self.probes if probe.explains(self.chance))

    @property
    def absent_classes(self) -> tuple[str, ...]:
        """Classes without a recording; they are left out of every mean over classes."""
        return tuple(name for name in self.classes if self.per_class[name].recall is None)

    @property
    def qualification(self) -> str | None:
        """What keeps the numbers from speaking about new babies, or None."""
        return None if self.provenance.keeps_donors_apart else CLIP_LEVEL

    @property
    def synthetic(self) -> bool:
        """Whether any recording was generated."""
        return "synthetic" in self.provenance.sources

    @property
    def sentence(self) -> str:
        """The headline, the verdict and what it rests on, in one sentence."""
        at, name = self.headline, METRIC_NAMES[self.headline_metric]
        words = (
            f"{name} {at.value:.3f} (95 % interval {at.low:.3f} to {at.high:.3f}, chance {self.chance:.3f}, "
            f"p = {self.null.p_value:.3f}; {self.recordings} recordings, {self.donors} donors): {self.verdict}"
        )
        if self.verdict == "explained by a shortcut":
            words += ": " + ", ".join(
                f"{probe.name} alone reaches {probe.headline.value:.3f}" for probe in self.explanations
            )
        if self.verdict == "above chance" and self.probes_not_run:
            words += f"; not probed: {', '.join(self.probes_not_run)}"
        return words + (f"; {self.qualification}" if self.qualification else "")


def verdict_of(headline: Interval, chance: float, null: Null, probes: Sequence[Probe]) -> Verdict:
    """Return the verdict.

    ``above chance`` asks for both: the interval over donors lies above chance, by more than rounding, and at most
    1 in 20 permutations of labels between donors does as well. The interval alone trusts that chance is where
    theory puts it; the permutations alone say nothing about the size of the effect.

    A run above chance is ``explained by a shortcut`` if any probe does as well: reaches more than chance itself,
    while the paired interval of run − probe does not lie above 0. The run must beat every probe, each at the same
    level: an intersection of tests, which needs no correction for their number.

    A shortcut that was not probed is no excuse and no finding: the verdict stands, and
    :attr:`Evidence.sentence` says which were not run.
    """
    if not (headline.low > chance + ROUNDING and null.p_value <= SIGNIFICANCE):
        return "not distinguishable from chance"
    if any(probe.explains(chance) for probe in probes):
        return "explained by a shortcut"
    return "above chance"
