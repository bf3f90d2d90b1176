"""Typed specs of everything the catalog names.

Belongs here: fields, their allowed values, and the rules between them. Does not: specs of
models (models.py), reading files (loading.py) and doing what a spec asks for (the stages).
"""

from datetime import date
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cry_pipeline.catalog.base import FEATURE_KINDS, FeatureKind, Name, Seed, Spec, neutral
from cry_pipeline.catalog.donations import DonationsSpec
from cry_pipeline.catalog.mel_scale import empty_bands
from cry_pipeline.catalog.models import ModelSpec, with_members
from cry_pipeline.targets import Target

Source = Literal["donateacry_cleaned", "donateacry_android", "donateacry_ios", "inbox", "synthetic"]
ProtocolKind = Literal["donor_grouped", "donor_hashed", "clip_stratified", "augment_then_split", "temporal"]
Tier = Literal["default", "study"]
MOST_GROUPED_FOLDS = 5
ALWAYS_OR_BY_PARAMETER = frozenset({*FEATURE_KINDS, "mfcc_delta"})
"""Kinds of feature that are no further ones: ``kinds`` says which are kept, or another parameter asks for them."""


class CohortSpec(Spec):
    """A named selection of the manifest with a target.

    ``labels`` maps the parents' reason (as named in the manifest) to a class and is at the same time the
    selection: recordings with another reason are not in the cohort. For ``target: cry`` the classes are
    ``not_cry`` and ``cry`` (kept by the curators) and ``labels`` only selects. ``classes`` fixes the label
    order everywhere: predictions, confusion matrices, reports.
    """

    processing: Literal["raw", "cleaned"]
    sources: tuple[Source, ...] = Field(min_length=1)
    target: Target
    labels: dict[str, str] = Field(min_length=1)
    classes: tuple[str, ...] = Field(min_length=2)
    min_duration_s: float = Field(default=1.0, ge=0)

    @model_validator(mode="after")
    def _classes_fit_target(self) -> Self:
        if self.target == "cry":
            if self.classes != ("not_cry", "cry"):
                raise ValueError("classes: a cohort with target 'cry' has the classes [not_cry, cry], in this order")
        elif set(self.labels.values()) != set(self.classes):
            raise ValueError(
                f"classes: {sorted(self.classes)} differ from the values of labels: {sorted(set(self.labels.values()))}"
            )
        return self


class ProtocolSpec(Spec):
    """How folds are made.

    ``donor_grouped`` keeps each donor in one fold, and the folds even. ``donor_hashed`` keeps each donor in one fold,
    too, and in the same one whoever else comes or goes (folds/hashed.py): for cohorts that grow. ``clip_stratified``
    does not: donors leak.
    ``augment_then_split`` is a common mistake, here to show what it is worth: recordings are multiplied into jittered
    copies (``copies`` of each, and with ``oversample`` further ones until all classes are as large as the largest)
    and these are then split by clip, so that copies of what is tested are trained on.
    ``temporal`` trains on donors of recordings before a moment, given by date (``before``, UTC) or as the
    ``quantile`` of the cohort's recording times, and tests on recordings from then on by other donors.
    """

    kind: ProtocolKind
    folds: int = Field(default=5, ge=1)
    repeats: int = Field(default=1, ge=1, le=1000)
    seed: Seed = 0
    copies: int = Field(default=0, ge=0, description="augment_then_split: jittered copies beside each recording")
    oversample: bool = Field(default=False, description="augment_then_split: further copies of the rarer classes")
    before: date | None = Field(default=None, description="temporal: what was recorded before is trained on")
    quantile: float | None = Field(default=None, gt=0, lt=1, description="temporal: as a share of the recordings")

    @model_validator(mode="after")
    def _fields_fit_kind(self) -> Self:
        if (self.kind == "augment_then_split") != (self.copies > 0 or self.oversample):
            raise ValueError("copies, oversample: augment_then_split needs either, the other kinds have neither")
        if (self.before is not None) + (self.quantile is not None) != (self.kind == "temporal"):
            raise ValueError("before, quantile: temporal needs one of them, the other kinds have neither")
        if self.kind == "temporal":
            if (self.folds, self.repeats) != (1, 1):
                raise ValueError("folds, repeats: temporal splits once; write folds: 1 and repeats: 1")
        elif self.folds < 2:
            raise ValueError(f"folds: {self.kind} needs at least 2 (found {self.folds})")
        if self.kind == "donor_grouped" and self.folds > MOST_GROUPED_FOLDS:
            raise ValueError(
                f"folds: donor_grouped has at most {MOST_GROUPED_FOLDS} (found {self.folds}), or rare classes, of "
                "few donors, are absent from some; add repeats instead"
            )
        return self

    @property
    def keeps_donors_apart(self) -> bool:
        """Whether no donor may be on two sides of a fold."""
        return self.kind in ("donor_grouped", "donor_hashed", "temporal")


class FeatureSetSpec(Spec):
    """One set of feature parameters: STFT → power spectrogram → mel → MFCC, all in dB.

    With ``center`` frames are centred at multiples of the hop, and both ends are continued by ``padding``, for half of
    ``n_fft`` samples: a recording of ``n`` samples has ``1 + n // hop_samples`` frames, or ``1 + (n - 1) //
    hop_samples`` where ``n_fft`` is odd. Without, frames lie wholly in the recording,
    ``1 + (n - n_fft) // hop_samples`` of them, and one of fewer than ``n_fft`` samples has no features.

    0 dB is the peak of a full-scale sine, or with ``reference: one`` librosa's ``ref=1.0``. ``mfcc_deltas`` says how
    many orders of the MFCC's changes are kept too, ``extra_kinds`` which further kinds of feature (features/kinds/).

    ``kinds`` are those that the store keeps: all are computed, but of a spectrogram that no model reads, more than half
    of the bytes, nothing need be left. mel is always kept; pages draw it. ``compression`` is how the arrays are packed,
    without loss; it decides no value, so it enters no digest and parts of several may lie side by side.
    """

    uncounted = frozenset({"description", "compression"})

    sample_rate_hz: int = Field(ge=4000, le=192_000)
    n_fft: int = Field(ge=64, le=16_384)
    window_samples: int = Field(ge=32, le=16_384)
    hop_samples: int = Field(ge=1)
    window: Literal["hann_periodic", "hann_symmetric"] = "hann_periodic"
    center: bool = True
    padding: Literal["reflect", "zeros"] = "reflect"
    mels: int = Field(ge=8, le=512)
    mel_scale: Literal["slaney", "htk"] = "slaney"
    fmin_hz: float = Field(default=0.0, ge=0)
    fmax_hz: float = Field(gt=0)
    mfcc: int = Field(default=20, ge=2)
    mfcc_deltas: int = Field(default=0, ge=0, le=2, json_schema_extra=neutral(0))
    reference: Literal["full_scale_sine", "one"] = "full_scale_sine"
    floor_db: float = Field(default=-100.0, ge=-120, le=-40)
    extra_kinds: tuple[Name, ...] = Field(default=(), json_schema_extra=neutral(()))
    kinds: tuple[FeatureKind, ...] = Field(default=FEATURE_KINDS, json_schema_extra=neutral(FEATURE_KINDS))
    compression: Literal["lz4", "zstd", "none"] = "lz4"

    @model_validator(mode="after")
    def _parameters_fit_together(self) -> Self:
        if self.window_samples > self.n_fft:
            raise ValueError(f"window_samples: {self.window_samples} is longer than n_fft {self.n_fft}")
        if self.hop_samples > self.window_samples:
            raise ValueError(f"hop_samples: {self.hop_samples} leaves gaps between windows of {self.window_samples}")
        if not self.fmin_hz < self.fmax_hz <= self.sample_rate_hz / 2:
            limit = self.sample_rate_hz / 2
            raise ValueError(f"fmax_hz: {self.fmax_hz} must lie above fmin_hz {self.fmin_hz} and at most at {limit}")
        if self.mfcc > self.mels:
            raise ValueError(f"mfcc: {self.mfcc} coefficients cannot come from {self.mels} mels")
        if empty := empty_bands(
            self.mels, self.fmin_hz, self.fmax_hz, self.sample_rate_hz / self.n_fft, self.mel_scale
        ):
            raise ValueError(
                f"mels: {len(empty)} of {self.mels} filters hold no bin of an FFT of {self.n_fft} samples at"
                f" {self.sample_rate_hz} Hz; take fewer mels, or raise n_fft or fmin_hz"
            )
        if following := sorted(ALWAYS_OR_BY_PARAMETER & set(self.extra_kinds)):
            raise ValueError(f"extra_kinds: {following[0]} follows from the other parameters; leave it out")
        if "mel" not in self.kinds:
            raise ValueError("kinds: mel is missing, which is always kept")
        # Two entries of equal features would live under two digests.
        if list(self.kinds) != [kind for kind in FEATURE_KINDS if kind in self.kinds]:
            raise ValueError(f"kinds: {list(self.kinds)} must be in the order {', '.join(FEATURE_KINDS)}, each once")
        if not self.center and self.padding != "reflect":
            raise ValueError(f"padding: {self.padding!r} changes nothing without center; leave it out")
        if list(self.extra_kinds) != sorted(set(self.extra_kinds)):
            raise ValueError(f"extra_kinds: {list(self.extra_kinds)} must be in the order of the alphabet, each once")
        return self

    @property
    def bins(self) -> int:
        """Frequency bins of the spectrogram."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Frames of a recording of ``samples`` samples at ``sample_rate_hz``."""
        return max(0, 1 + (samples + self.padding_samples - self.n_fft) // self.hop_samples)

    @property
    def padding_samples(self) -> int:
        """Samples by which a recording is continued, at both ends together, before it is cut into frames."""
        return 2 * (self.n_fft // 2) if self.center else 0

    @property
    def first_frame_s(self) -> float:
        """Where the middle of a recording's first frame lies, in seconds."""
        return 0.0 if self.center else self.n_fft / 2 / self.sample_rate_hz


class ExperimentSpec(Spec):
    """cohort × feature set × model × protocol × seed, by their names in the catalog.

    ``tier`` says when it is run: ``default`` by ``make run``, ``study`` only by ``make study``, which runs both.
    It decides no number and does not enter the digest.
    """

    uncounted = frozenset({"description", "tier"})

    cohort: Name
    feature_set: Name
    model: Name
    protocol: Name
    seed: Seed = 0
    tier: Tier = "default"

    @property
    def folds_name(self) -> str:
        """Name of the folds that the experiment is run on: ``<cohort>_<protocol>``."""
        return f"{self.cohort}_{self.protocol}"


class ChampionSpec(Spec):
    """Experiments that the exported model may come from: for each target the one with the best headline is taken.

    ``cry`` says whether a recording is a cry, ``reason`` why the baby cries. Without ``cry`` there is no champion;
    without ``reason`` it gives no reasons. Of each kind of sound that may be taken for a cry it is asked about
    ``confusers`` made-up ones before it is used, and its card says what it took them for; 0 asks about none.
    """

    cry: tuple[Name, ...] = ()
    reason: tuple[Name, ...] = ()
    confusers: int = Field(default=20, ge=0, le=1000)


class Catalog(BaseModel):
    """Everything that is compared, by name, and what of it may be exported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cohorts: dict[Name, CohortSpec]
    protocols: dict[Name, ProtocolSpec]
    feature_sets: dict[Name, FeatureSetSpec]
    models: dict[Name, ModelSpec]
    experiments: dict[Name, ExperimentSpec]
    champion: ChampionSpec = ChampionSpec()
    donations: DonationsSpec = DonationsSpec()

    @field_validator("models")
    @classmethod
    def _know_their_members(cls, models: dict[str, ModelSpec]) -> dict[str, ModelSpec]:
        return with_members(models)

    def place_of(self, name: str) -> tuple[str, ...]:
        """Return the path of experiment ``name`` in the graph, below ``runs`` and ``evidence``.

        ``(cohort, protocol, model)``, with the feature set joined to the model where the name has it, too; what has a
        name of its own lies in its cohort: ``(cohort, name)``. The last is what differs, because Dagster's pictures
        show that alone and shorten the middle of the rest.
        """
        spec = self.experiments[name]
        combined = f"{spec.cohort}_{spec.model}_{spec.protocol}"
        if name == combined:
            return spec.cohort, spec.protocol, spec.model
        if name == f"{combined}_{spec.feature_set}":
            return spec.cohort, spec.protocol, f"{spec.model}_{spec.feature_set}"
        return spec.cohort, name

    def study_only(self) -> tuple[set[str], set[str]]:
        """Return the names of experiments of tier ``study``, and of folds that none but these are run on."""
        study = {name for name, experiment in self.experiments.items() if experiment.tier == "study"}
        daily = {experiment.folds_name for name, experiment in self.experiments.items() if name not in study}
        return study, {self.experiments[name].folds_name for name in study} - daily
