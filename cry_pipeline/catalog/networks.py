"""Typed specs of networks on the hybrid image: its planes, the layers, training and augmentation.

Belongs here: fields, their allowed values, and the rules between them. Does not: the layers (training/networks/).
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from cry_pipeline.catalog.base import BaseModelSpec, ClassWeight, FeatureKind, Spec

Plane = Literal["spectrogram", "mel", "mfcc"]
PLANES: tuple[Plane, ...] = ("spectrogram", "mel", "mfcc")


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
