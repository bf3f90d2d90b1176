"""Typed specs of models: their inputs and hyper-parameters.

Belongs here: fields, their allowed values, and the rules between them, of all models but networks (networks.py), and
which kinds of model there are. Does not: what the models do (training/).
"""

from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field

from cry_pipeline.catalog.base import BaseModelSpec, ClassWeight, FeatureKind, Name, neutral
from cry_pipeline.catalog.networks import LfebAttentionLstmSpec, ResNet50AttentionSpec

MetadataNumber = Literal["duration_s", "peak", "rms_dbfs", "clipped_fraction", "silent_fraction"]
MetadataColumn = (
    Literal["source", "platform", "codec", "sample_rate_hz", "channels", "app_version", "gender", "age_band"]
    | MetadataNumber
)
NUMBERS: tuple[MetadataNumber, ...] = get_args(MetadataNumber)
"""Columns of the manifest that are numbers to a model, not categories."""


class MajoritySpec(BaseModelSpec):
    """Always answers with the class frequencies of the training rows."""

    kind: Literal["majority"]


class MetadataSpec(BaseModelSpec):
    """Logistic regression on what the manifest says about a recording: no sound, or no more of it than its level.

    Words and ``sample_rate_hz`` are taken as categories, the missing value among them; :data:`NUMBERS` as numbers,
    standardised, with a category of its own where one is missing. With ``bins`` each number is a category too, by as
    many quantiles of the training rows: what is neither loud nor quiet can then be told from both.
    """

    kind: Literal["metadata"]
    columns: tuple[MetadataColumn, ...] = Field(min_length=1)
    bins: int = Field(default=0, ge=0, json_schema_extra=neutral(0))
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


SingleModel = (
    MajoritySpec
    | MetadataSpec
    | LogisticRegressionSpec
    | RandomForestSpec
    | GradientBoostingSpec
    | SvmSpec
    | LfebAttentionLstmSpec
    | ResNet50AttentionSpec
)
SingleModelSpec = Annotated[SingleModel, Field(discriminator="kind")]


class EnsembleSpec(BaseModelSpec):
    """The mean of several models' answers; a member may be named more than once, and has a seed of its own each time.

    Each member's probabilities are first raised to its own slope, which calibration fitted. ``average: logit`` then
    takes the mean of their logarithms, ``probability`` of themselves. ``specs`` are filled in by the catalog, so that
    digests cover them.
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


ModelSpec = Annotated[SingleModel | EnsembleSpec, Field(discriminator="kind")]


def single_models(spec: BaseModelSpec) -> Sequence[BaseModelSpec]:
    """Return an ensemble's members; of any other spec, itself."""
    return spec.specs if isinstance(spec, EnsembleSpec) else (spec,)


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
            single = models.get(member)
            if single is None or isinstance(single, EnsembleSpec):
                known = ", ".join(sorted(name for name, spec in models.items() if not isinstance(spec, EnsembleSpec)))
                raise ValueError(f"{name}.members: {member!r} is not a single model of the catalog; allowed: {known}")
            members.append(single.model_copy(update={"description": ""}))
        filled[name] = spec.model_copy(update={"specs": tuple(members)})
    return filled
