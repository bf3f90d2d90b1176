"""Typed specs of models: their inputs and hyper-parameters.

Belongs here: fields, their allowed values, and the rules between them. Does not: what the models do (training/).
"""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cry_pipeline.catalog.base import FeatureKind, Name, Spec

Plane = Literal["spectrogram", "mel", "mfcc"]
MetadataColumn = Literal[
    "source", "platform", "codec", "sample_rate_hz", "channels", "app_version", "gender", "age_band", "duration_s"
]
ClassWeight = Literal["balanced", "none"]
PLANES: tuple[Plane, ...] = ("spectrogram", "mel", "mfcc")


class BaseModelSpec(Spec):
    """What a model reads: features of the kinds ``inputs``, and columns ``metadata`` of the manifest."""

    is_network: ClassVar[bool] = False

    @property
    def inputs(self) -> tuple[FeatureKind, ...]:
        """Feature kinds to be read for the model."""
        return ()

    @property
    def metadata(self) -> tuple[str, ...]:
        """Columns of the manifest to be read for the model."""
        return ()

    @property
    def exportable(self) -> bool:
        """Whether a champion can be made of it: see inference/scorers.py."""
        return self.is_network

    @property
    def kind_name(self) -> str:
        """The ``kind``, of whatever class the spec is."""
        return str(self.model_dump(include={"kind"})["kind"])


class MajoritySpec(BaseModelSpec):
    """Always answers with the class frequencies of the training rows."""

    kind: Literal["majority"]


class MetadataSpec(BaseModelSpec):
    """Logistic regression on what the manifest says about a recording: no sound at all.

    Words and ``sample_rate_hz`` are taken as categories, the missing value among them; ``duration_s`` as a number.
    """

    kind: Literal["metadata"]
    columns: tuple[MetadataColumn, ...] = Field(min_length=1)
    inverse_regularisation: float = Field(default=1.0, gt=0)
    class_weight: ClassWeight = "balanced"

    @property
    def metadata(self) -> tuple[str, ...]:
        """The columns."""
        return self.columns


class _OnStatistics(BaseModelSpec):
    @property
    def inputs(self) -> tuple[FeatureKind, ...]:
        """The pooled statistics."""
        return ("statistics",)


class LogisticRegressionSpec(_OnStatistics):
    """Logistic regression on the standardised pooled statistics."""

    kind: Literal["logistic_regression"]
    inverse_regularisation: float = Field(default=0.01, gt=0)
    class_weight: ClassWeight = "balanced"
    max_iterations: int = Field(default=2000, ge=1)


class RandomForestSpec(_OnStatistics):
    """Trees on bootstrap samples; with ``splits: random`` scikit-learn's extremely randomised trees, on all rows."""

    kind: Literal["random_forest"]
    trees: int = Field(default=500, ge=1)
    splits: Literal["best", "random"] = "best"
    min_samples_leaf: int = Field(default=2, ge=1)
    max_features: float | Literal["sqrt"] = "sqrt"
    class_weight: ClassWeight = "balanced"


class GradientBoostingSpec(_OnStatistics):
    """Histogram gradient boosting of shallow trees."""

    kind: Literal["hist_gradient_boosting"]
    iterations: int = Field(default=200, ge=1)
    learning_rate: float = Field(default=0.05, gt=0)
    leaves: int = Field(default=15, ge=2)
    min_samples_leaf: int = Field(default=20, ge=1)
    l2_regularisation: float = Field(default=1.0, ge=0)
    max_features: float = Field(default=0.2, gt=0, le=1)
    class_weight: ClassWeight = "balanced"


class SvmSpec(BaseModelSpec):
    """Support vector machine with a Gaussian kernel, one class against the rest.

    ``pool: statistics`` takes the pooled statistics, ``pool: covariance`` the logarithm of the covariance of a
    recording's mels and of their change over time (see training/covariances.py). Both are standardised. ``width``
    times the number of values is the squared distance at which the kernel has fallen to 1/e.
    """

    kind: Literal["svm"]
    pool: Literal["statistics", "covariance"] = "statistics"
    penalty: float = Field(default=3.0, gt=0)
    width: float = Field(default=3.0, gt=0)
    class_weight: ClassWeight = "balanced"
    bands: int = Field(default=32, ge=2, description="covariance: mels are averaged into so many bands")
    change_frames: int = Field(default=2, ge=0, description="covariance: change is x[t+n] − x[t−n]; 0 for none")
    ridge: float = Field(default=4.0, gt=0, description="covariance: added to each variance, dB²")

    @property
    def inputs(self) -> tuple[FeatureKind, ...]:
        """The pooled statistics, or the mel spectrogram."""
        return ("statistics",) if self.pool == "statistics" else ("mel",)

    @property
    def exportable(self) -> bool:
        """On covariances only: pooled statistics are not part of an exported graph."""
        return self.pool == "covariance"


class AugmentationSpec(Spec):
    """What is done to the standardised images of a training batch, at random; 0 turns a part off.

    ``roll`` of the recordings are rolled along their own columns by any number. ``gain_db`` is the standard
    deviation of a level added to spectrogram and mel, ``noise`` of a value added to every pixel (in standard
    deviations of its row). ``row_masks`` and ``column_masks`` are drawn per plane and per recording, each up to
    the given width, and filled with the training mean. ``mixup`` is the parameter of the Beta distribution.
    """

    roll: float = Field(default=0.0, ge=0, le=1)
    gain_db: float = Field(default=0.0, ge=0)
    noise: float = Field(default=0.0, ge=0)
    row_masks: int = Field(default=0, ge=0)
    row_mask_width: int = Field(default=8, ge=1)
    column_masks: int = Field(default=0, ge=0)
    column_mask_width: int = Field(default=10, ge=1)
    mixup: float = Field(default=0.0, ge=0)


class NetworkSpec(BaseModelSpec):
    """What all networks on the hybrid image share: the image, the loss, the schedule, and when to stop."""

    is_network = True

    planes: tuple[Plane, ...] = Field(default=PLANES, min_length=1)
    bins: int = Field(default=64, ge=16, description="frequency rows of the hybrid image")
    frame_pool: int = Field(default=4, ge=1, description="frames averaged into one column of the hybrid image")
    epochs: int = Field(default=15, ge=1)
    batch_size: int = Field(default=16, ge=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    schedule: Literal["one_cycle", "cosine"] = "one_cycle"
    weight_decay: float = Field(default=1e-2, ge=0)
    gradient_norm: float = Field(default=1.0, gt=0, description="gradients are scaled down to it")
    patience: int = Field(default=8, ge=1, description="epochs without a better inner validation loss before a stop")
    class_weight: ClassWeight = "balanced"
    logit_adjustment: float = Field(
        default=0.0, ge=0, description="times the log of the class frequencies, added to logits in training only"
    )
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    augmentation: AugmentationSpec = AugmentationSpec()

    @property
    def inputs(self) -> tuple[FeatureKind, ...]:
        """The planes."""
        return self.planes

    @model_validator(mode="after")
    def _planes_in_order(self) -> Self:
        if list(self.planes) != [plane for plane in PLANES if plane in self.planes]:
            raise ValueError(f"planes: {list(self.planes)} must be in the order {', '.join(PLANES)}, each once")
        return self


class LfebAttentionLstmSpec(NetworkSpec):
    """Four local feature extraction blocks → multi-head attention → LSTM → linear, on the hybrid image.

    With ``covariance_bands`` a second, linear branch adds to the logits: on the logarithm of the covariance of the
    mel plane's bands, and of their change, over time (see training/networks/covariance.py).
    """

    kind: Literal["lfeb_attention_lstm"]
    channels: tuple[int, int, int, int] = (16, 32, 32, 64)
    time_pools: tuple[int, int, int, int] = (2, 2, 2, 1)
    heads: int = Field(default=4, ge=1)
    lstm_units: int = Field(default=64, ge=4)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    covariance_bands: int = Field(default=0, ge=0, description="0 for no such branch; must divide bins")
    covariance_ridge: float = Field(default=0.003, gt=0, description="added to the variances of standardised bands")

    @model_validator(mode="after")
    def _shape_holds(self) -> Self:
        if self.covariance_bands and (self.bins % self.covariance_bands or "mel" not in self.planes):
            raise ValueError(
                f"covariance_bands: {self.covariance_bands} must divide bins, {self.bins}, and needs the plane mel"
            )
        if any(pool not in (1, 2) for pool in self.time_pools):
            raise ValueError(
                f"time_pools: {list(self.time_pools)} must each be 1 or 2, so that attention and LSTM see a sequence"
            )
        if self.channels[-1] % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide the last of channels, {self.channels[-1]}")
        return self


class ResNet50AttentionSpec(NetworkSpec):
    """ResNet-50 trunk → multi-head attention over what it leaves of rows and columns → linear."""

    kind: Literal["resnet50_attention"]
    weights: Literal["imagenet", "random"] = "random"
    units: int = Field(default=256, ge=8, description="width of the attention")
    heads: int = Field(default=8, ge=1)
    dropout: float = Field(default=0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _shape_holds(self) -> Self:
        if self.units % self.heads:
            raise ValueError(f"heads: {self.heads} does not divide units, {self.units}")
        if self.weights == "imagenet" and self.planes != PLANES:
            raise ValueError("planes: ImageNet's weights are for three planes; use all, or weights: random")
        return self


SingleModelSpec = Annotated[
    MajoritySpec
    | MetadataSpec
    | LogisticRegressionSpec
    | RandomForestSpec
    | GradientBoostingSpec
    | SvmSpec
    | LfebAttentionLstmSpec
    | ResNet50AttentionSpec,
    Field(discriminator="kind"),
]


class EnsembleSpec(BaseModelSpec):
    """The mean of several models' answers; a member may be named more than once, and has a seed of its own each time.

    Each member's probabilities are first calibrated with its own temperature. ``average: logit`` then takes the
    mean of their logarithms, ``probability`` of themselves. ``specs`` are filled in by the catalog, so that digests
    cover them.
    """

    kind: Literal["ensemble"]
    members: tuple[Name, ...] = Field(min_length=2)
    average: Literal["logit", "probability"] = "logit"
    specs: tuple[SingleModelSpec, ...] = ()

    @property
    def inputs(self) -> tuple[FeatureKind, ...]:
        """What any member reads."""
        return tuple(dict.fromkeys(kind for spec in self.specs for kind in spec.inputs))

    @property
    def metadata(self) -> tuple[str, ...]:
        """What any member reads."""
        return tuple(dict.fromkeys(column for spec in self.specs for column in spec.metadata))

    @property
    def exportable(self) -> bool:
        """Whether every member is."""
        return all(spec.exportable for spec in self.specs)


ModelSpec = Annotated[
    MajoritySpec
    | MetadataSpec
    | LogisticRegressionSpec
    | RandomForestSpec
    | GradientBoostingSpec
    | SvmSpec
    | LfebAttentionLstmSpec
    | ResNet50AttentionSpec
    | EnsembleSpec,
    Field(discriminator="kind"),
]


def with_members(models: dict[str, ModelSpec]) -> dict[str, ModelSpec]:
    """Return ``models`` with the specs of every ensemble's members filled in.

    Raises:
        ValueError: a member is not among the models, or is itself an ensemble.
    """
    filled: dict[str, ModelSpec] = {}
    for name, spec in models.items():
        if not isinstance(spec, EnsembleSpec):
            filled[name] = spec
            continue
        members = []
        for member in spec.members:
            found = models.get(member)
            if found is None or isinstance(found, EnsembleSpec):
                known = ", ".join(sorted(name for name, own in models.items() if not isinstance(own, EnsembleSpec)))
                raise ValueError(f"{name}.members: {member!r} is not a single model of the catalog; allowed: {known}")
            members.append(found.model_copy(update={"description": ""}))
        filled[name] = spec.model_copy(update={"specs": tuple(members)})
    return filled
