"""Typed specs of everything the catalog names.

Belongs here: fields, their allowed values, and the rules between them. Does not: reading files
(loading.py) and doing what a spec asks for (the stages).
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cry_pipeline.catalog.digests import digest

Source = Literal["donateacry_cleaned", "donateacry_android", "donateacry_ios", "inbox", "synthetic"]
FeatureKind = Literal["spectrogram", "mel", "mfcc", "statistics"]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class Spec(BaseModel):
    """A frozen catalog entry; an unknown key is an error. ``description`` never enters a digest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    description: str = ""

    @property
    def digest(self) -> str:
        """sha256 of everything in the entry but its description."""
        return digest(spec=self.model_dump(mode="json", exclude={"description"}))


class CohortSpec(Spec):
    """A named selection of the manifest with a target.

    ``labels`` maps the parents' reason (as named in the manifest) to a class and is at the same time the
    selection: recordings with another reason are not in the cohort. For ``target: cry`` the classes are
    ``not_cry`` and ``cry`` (kept by the curators) and ``labels`` only selects. ``classes`` fixes the label
    order everywhere: predictions, confusion matrices, reports.
    """

    processing: Literal["raw", "cleaned"]
    sources: tuple[Source, ...] = Field(min_length=1)
    target: Literal["reason", "cry"]
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
    """How folds are made. ``donor_grouped`` keeps each donor on one side; ``clip_stratified`` does not."""

    kind: Literal["donor_grouped", "clip_stratified"]
    folds: int = Field(default=5, ge=2)
    repeats: int = Field(default=1, ge=1)
    seed: int = 0

    @property
    def grouped(self) -> bool:
        """Whether no donor may be on two sides of a fold."""
        return self.kind == "donor_grouped"


class FeatureSetSpec(Spec):
    """One set of feature parameters: STFT → power spectrogram → mel → MFCC, all in dB re. a full-scale sine.

    With ``center`` a recording of ``n`` samples has ``1 + n // hop_samples`` frames.
    """

    sample_rate_hz: int = Field(ge=4000, le=192_000)
    n_fft: int = Field(ge=64, le=16_384)
    window_samples: int = Field(ge=32, le=16_384)
    hop_samples: int = Field(ge=1)
    window: Literal["hann_periodic", "hann_symmetric"] = "hann_periodic"
    padding: Literal["reflect", "zeros"] = "reflect"
    mels: int = Field(ge=8, le=512)
    mel_scale: Literal["slaney", "htk"] = "slaney"
    fmin_hz: float = Field(default=0.0, ge=0)
    fmax_hz: float = Field(gt=0)
    mfcc: int = Field(default=20, ge=2)
    floor_db: float = Field(default=-100.0, ge=-120, le=-40)

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
        return self

    @property
    def bins(self) -> int:
        """Frequency bins of the spectrogram."""
        return self.n_fft // 2 + 1

    def frames(self, samples: int) -> int:
        """Frames of a recording of ``samples`` samples at ``sample_rate_hz``."""
        return 1 + samples // self.hop_samples


class _Model(Spec):
    inputs: ClassVar[tuple[FeatureKind, ...]] = ()
    is_network: ClassVar[bool] = False


class MajoritySpec(_Model):
    """Always answers with the class frequencies of the training rows."""

    kind: Literal["majority"]


class LogisticRegressionSpec(_Model):
    """Logistic regression on the standardised pooled statistics."""

    inputs = ("statistics",)

    kind: Literal["logistic_regression"]
    inverse_regularisation: float = Field(default=0.01, gt=0)
    class_weight: Literal["balanced", "none"] = "balanced"
    max_iterations: int = Field(default=2000, ge=1)


class LfebAttentionLstmSpec(_Model):
    """Four local feature extraction blocks → multi-head attention → LSTM → linear, on the hybrid image."""

    inputs = ("spectrogram", "mel", "mfcc")
    is_network = True

    kind: Literal["lfeb_attention_lstm"]
    bins: int = Field(default=64, ge=16, description="frequency rows of the hybrid image")
    frame_pool: int = Field(default=4, ge=1, description="frames averaged into one column of the hybrid image")
    channels: tuple[int, int, int, int] = (16, 32, 32, 64)
    time_pools: tuple[int, int, int, int] = (2, 2, 2, 1)
    heads: int = Field(default=4, ge=1)
    lstm_units: int = Field(default=64, ge=4)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    epochs: int = Field(default=15, ge=1)
    batch_size: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    patience: int = Field(default=8, ge=1, description="epochs without a better inner validation loss before a stop")
    class_weight: Literal["balanced", "none"] = "balanced"

    @model_validator(mode="after")
    def _shape_holds(self) -> Self:
        if any(pool not in (1, 2) for pool in self.time_pools):
            raise ValueError(
                f"time_pools: {list(self.time_pools)} must each be 1 or 2, so that attention and LSTM see a sequence"
            )
        if self.channels[-1] % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide the last of channels, {self.channels[-1]}")
        return self


ModelSpec = Annotated[MajoritySpec | LogisticRegressionSpec | LfebAttentionLstmSpec, Field(discriminator="kind")]


class ExperimentSpec(Spec):
    """cohort × feature set × model × protocol × seed, by their names in the catalog."""

    cohort: Name
    feature_set: Name
    model: Name
    protocol: Name
    seed: int = 0

    @property
    def folds_name(self) -> str:
        """Name of the folds that the experiment is run on: ``<cohort>_<protocol>``."""
        return f"{self.cohort}_{self.protocol}"


class ChampionSpec(Spec):
    """Experiments that the exported model may come from: for each target the one with the best headline is taken.

    ``cry`` says whether a recording is a cry, ``reason`` why the baby cries. Without ``cry`` there is no champion;
    without ``reason`` it gives no reasons.
    """

    cry: tuple[Name, ...] = ()
    reason: tuple[Name, ...] = ()


class Catalog(BaseModel):
    """Everything that is compared, by name, and what of it may be exported."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cohorts: dict[Name, CohortSpec]
    protocols: dict[Name, ProtocolSpec]
    feature_sets: dict[Name, FeatureSetSpec]
    models: dict[Name, ModelSpec]
    experiments: dict[Name, ExperimentSpec]
    champion: ChampionSpec = ChampionSpec()
