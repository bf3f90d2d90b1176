"""The evidence record: fields, and the rule that turns numbers into a verdict.

Belongs here: what evidence holds and says, as read by assets and reports. Does not: its smaller parts
(findings.py), computing it, or its files (evidence.py).
"""

from collections.abc import Sequence
from typing import Any, Literal, Self

from pydantic import AliasChoices, Field, model_validator

from cry_pipeline.catalog.specs import Catalog, ProtocolKind
from cry_pipeline.evaluation.findings import (
    LEVEL,
    ROUNDING,
    Calibration,
    CaseMix,
    Conditional,
    Decisions,
    Interval,
    Neighbours,
    Null,
    Probe,
    Record,
    Reliability,
    Shortcut,
    Subgroup,
)
from cry_pipeline.targets import Target

HONEST: tuple[ProtocolKind, ...] = ("donor_grouped", "donor_hashed")
"""The kinds of protocol that all others are read with: every donor is tested, none by a model trained on them."""
NOT_RUN, DAMAGED = "not run", "its evidence is damaged: materialize it again"
OF_BEFORE = "shown as it was before recordings came or were judged; trained again once enough is new"
"""Why there is no evidence of an experiment, or none of the recordings of now."""
CLIP_LEVEL = "donors on both sides of the split: not evidence about new babies"
HEADLINES = {"reason": "uar", "cry": "auc"}
METRIC_NAMES = {
    "uar": "UAR",
    "macro_f1": "macro-F1",
    "auc": "AUC",
    "accuracy": "accuracy",
    "average_precision": "average precision",
    "recall_at_95_precision": "recall at 95 % precision",  # of evidence of before: too unsure for anybody
    "brier": "Brier score",
    "log_loss": "log-loss",
}
"""How each metric of ``Evidence.metrics`` is called where people read it."""

SMALLEST_SHOWN = 0.0005
"""A p-value below it is 0.000 in three decimals, and is not: it is said to be below."""

Verdict = Literal["above chance", "not distinguishable from chance", "explained by a shortcut"]


class ClassEvidence(Record):
    """How much of a class there is, and how much of it is found; no recall where the truth has none of it."""

    recordings: int
    donors: int
    recall: Interval | None


class Family(Record):
    """The experiments that asked the same of a cohort (families.py)."""

    tried: int = Field(description="how many they are")
    p_adjusted: float = Field(description="the run's p-value of its null, by Holm over all of them")


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
    listens: bool = Field(default=True, description="whether the model reads features of the sound")
    seed: int
    run_digest: str
    feature_digest: str
    sources: tuple[str, ...] = Field(description="where the cohort's recordings come from")
    shortcuts: dict[Shortcut, tuple[str, str]] = Field(
        default_factory=dict, description="experiment and run digest of the runs that probe shortcuts on the same folds"
    )
    null: str = Field(default="", description="digest of the models trained on dealt labels; empty if none were")
    told: str = Field(default="", description="digest of what the manifest tells of the recordings (told.py)")
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
            listens=bool(catalog.models[spec.model].inputs),
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
    conditionals: tuple[Conditional, ...] = Field(default=(), description="none where nothing is told of recordings")
    case_mix: CaseMix | None = Field(default=None, description="None where nothing is told of recordings")
    neighbours: Neighbours | None = Field(description="None where the run reads no features")
    calibration: Calibration
    decisions: Decisions | None = Field(default=None, description="of two classes: what acting on the answers is worth")
    subgroups: tuple[Subgroup, ...] = Field(default=(), description="of what the manifest tells of the recordings")
    resamples: int
    resamples_lost: int = Field(description="resamples without a donor of some class, not used")
    resampling_seed: int
    family: Family | None = Field(default=None, description="never in a file: it depends on what else was tried")
    verdict: Verdict

    @model_validator(mode="after")
    def _verdict_follows(self) -> Self:
        if self.verdict != self._verdict():
            raise ValueError(f"verdict: {self.verdict!r} does not follow from {self.headline_metric}")
        return self

    def among(self, family: Family | None) -> Self:
        """Return the evidence as one of ``family``, with the verdict that it has there; of None, by itself."""
        placed = self.model_copy(update={"family": family})
        return placed.model_copy(update={"verdict": placed._verdict()})

    def _verdict(self) -> "Verdict":
        return verdict_of(self.headline, self.chance, self.p_value, self.probes, self.conditionals)

    @property
    def p_value(self) -> float:
        """That of the null, by Holm over the family where there is one: what the verdict rests on."""
        return self.family.p_adjusted if self.family else self.null.p_value

    @property
    def standing(self) -> str:
        """The digest, and what the verdict takes from the family: what a page that shows the evidence is made of."""
        return f"{self.digest} of {self.tried}: {self.p_value:.6g}"

    @property
    def tried(self) -> int:
        """How many experiments asked the same of the cohort, this one among them."""
        return self.family.tried if self.family else 1

    @property
    def guesses(self) -> bool:
        """Whether nothing shows that the model does better than chance, be it by a shortcut."""
        return self.verdict == "not distinguishable from chance"

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
    def calibrated(self) -> Reliability | None:
        """How far the calibrated probabilities hold; None where none were fitted, or there is nothing to calibrate.

        Where a run is not distinguishable from chance, its probabilities are about nothing: only the classes'
        frequencies could be fitted, which would look calibrated.
        """
        return None if self.verdict == "not distinguishable from chance" else self.calibration.calibrated

    @property
    def explanations(self) -> tuple[Probe, ...]:
        """The shortcuts that do as well as the run."""
        return tuple(probe for probe in self.probes if probe.explains)

    @property
    def conditional_explanations(self) -> tuple[Conditional, ...]:
        """What recordings need only be alike in for the run to tell them apart no more."""
        return tuple(found for found in self.conditionals if found.explains(self.probes))

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
            f"p {_p(self.null.p_value)}{self._among_words}; {self.recordings} recordings, {self.donors} donors): "
            f"{self.verdict}"
        )
        if self.verdict == "explained by a shortcut":
            words += ": " + ", ".join(
                [f"{probe.name} alone reaches {probe.headline.value:.3f}" for probe in self.explanations]
                + [
                    f"{found.auc.value:.3f} is the AUC among recordings alike in {found.alike}"
                    for found in self.conditional_explanations
                ]
            )
        if self.verdict == "above chance":
            words += self._conditional_words
        if self.verdict == "above chance" and self.probes_not_run:
            words += f"; not probed: {', '.join(self.probes_not_run)}"
        return words + (f"; {self.qualification}" if self.qualification else "")

    @property
    def _conditional_words(self) -> str:
        if not self.conditionals:
            return ""
        alike = ", ".join(f"{found.alike} {found.auc.value:.3f}" for found in self.conditionals)
        return f"; AUC among recordings alike in {alike}"

    @property
    def _among_words(self) -> str:
        return f", {_p(self.p_value).removeprefix('= ')} for {self.tried} tried" if self.tried > 1 else ""


def _p(value: float) -> str:
    return f"= {value:.3f}" if value >= SMALLEST_SHOWN else f"< {SMALLEST_SHOWN}"


def verdict_of(
    headline: Interval,
    chance: float,
    p_value: float,
    probes: Sequence[Probe],
    conditionals: Sequence[Conditional] = (),
) -> Verdict:
    """Return the verdict.

    ``above chance`` asks for both: the interval over donors lies above chance, by more than rounding, and ``p_value``,
    that of the null by Holm over all that were tried, is at most :data:`.LEVEL`. The interval alone trusts that chance
    is where theory puts it; the null alone says nothing about the size of the effect.

    A run above chance is ``explained by a shortcut`` if any probe does as well: is above chance itself, by Holm over
    the probes, while the paired interval of run − probe does not lie above 0. The run must beat each of those, at the
    same level: an intersection of tests, which needs no correction for their number. Or if it tells nothing among
    recordings alike in what such a probe goes by, and clearly less than among all: then it may have other means than
    the probe, to the same end.

    A shortcut that was not probed is no excuse and no finding: the verdict stands, and
    :attr:`Evidence.sentence` says which were not run.
    """
    if not (headline.low > chance + ROUNDING and p_value <= LEVEL):
        return "not distinguishable from chance"
    if any(probe.explains for probe in probes) or any(found.explains(probes) for found in conditionals):
        return "explained by a shortcut"
    return "above chance"
