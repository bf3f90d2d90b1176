"""Fitted models as torch modules on what was computed of one recording, so that they can be exported.

Belongs here: each kind of model that can be exported, with the formula that it has in training. Does not: the graph
as a whole (export.py). Networks are the modules that they are; the others are written out here in operations that
ONNX has, and the export holds them against the stored predictions of the originals.
"""

import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cry_pipeline.catalog.models import SvmSpec
from cry_pipeline.catalog.networks import NetworkSpec
from cry_pipeline.features.computing import Features
from cry_pipeline.features.hybrid import RowStandardiser, plane_image
from cry_pipeline.features.kinds import KINDS
from cry_pipeline.training.calibration import SMALLEST
from cry_pipeline.training.covariances import band_means
from cry_pipeline.training.ensemble import FittedEnsemble
from cry_pipeline.training.fitted_network import FittedNetwork
from cry_pipeline.training.models import FittedModel
from cry_pipeline.training.networks.covariance import EXACTLY, logarithm
from cry_pipeline.training.svm import gamma
from cry_pipeline.training.value_models import FittedValues


class ExportError(RuntimeError):
    """A run cannot be exported, or the graph does not compute what torch does; the message says what differs."""


class Heard:
    """One recording's features, rounded as the store rounds them, and what models make of them, made once for all.

    Args:
        features: of one recording, ``[1, frames, values]`` each.
        frames: their number, int64 ``[1]``.
    """

    def __init__(self, features: Features, frames: Tensor) -> None:
        self.features = features
        self.frames = frames
        self._made: dict[Any, Any] = {}

    def stored(self, kind: str) -> Tensor:
        """Return one kind of feature with the values that training read from the store."""
        return getattr(self.features, kind).to(getattr(torch, KINDS[kind].dtype))

    def image(self, spec: NetworkSpec) -> tuple[Tensor, Tensor]:
        """Return the image that networks of ``spec`` see, not standardised, and its columns."""

        def make() -> tuple[Tensor, Tensor]:
            planes = [
                plane_image(self.stored(kind).float(), self.frames, spec.bins, spec.frame_pool) for kind in spec.planes
            ]
            return torch.stack(planes, dim=1), (self.frames + spec.frame_pool - 1) // spec.frame_pool

        return self._once(("image", spec.planes, spec.bins, spec.frame_pool), make)

    def log_covariances(self, spec: SvmSpec) -> Tensor:
        """Return what ``training.covariances.log_covariances`` does, float64 ``[1, values]``."""

        def make() -> Tensor:
            mel = self.stored("mel").double()
            levels = mel @ torch.from_numpy(band_means(mel.shape[2], spec.bands))
            if spec.change_frames:
                n = spec.change_frames
                change = nn.functional.pad(levels[:, 2 * n :] - levels[:, : -2 * n], (0, 0, n, n))
                levels = torch.cat([levels, change], dim=2)
            levels = levels - levels.mean(dim=1, keepdim=True)
            covariance = levels.transpose(1, 2) @ levels / self.frames[:, None, None]
            width = covariance.shape[1]
            logarithms = logarithm(covariance + spec.ridge * torch.eye(width, dtype=torch.float64), *EXACTLY)
            rows, columns = np.triu_indices(width)
            weights = torch.from_numpy(np.where(rows == columns, 1.0, np.sqrt(2.0)))
            return logarithms.flatten(start_dim=1)[:, torch.from_numpy(rows * width + columns)] * weights

        return self._once(("log covariances", spec.bands, spec.change_frames, spec.ridge), make)

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]


class Scorer(nn.Module):
    """A fitted model; what calibrates it is not applied."""

    @abstractmethod
    def forward(self, heard: Heard) -> Tensor:
        """Return logits, float64 ``[1, classes]``: their softmax is what ``predict_probabilities`` returns."""


class NetworkScorer(Scorer):
    """A network behind the standardisation of its training rows."""

    mean: Tensor
    sd: Tensor

    def __init__(self, fitted: FittedNetwork) -> None:
        super().__init__()
        self.spec, self.network = fitted.spec, fitted.network
        self.register_buffer("mean", fitted.standardiser.mean)
        self.register_buffer("sd", fitted.standardiser.sd)

    def forward(self, heard: Heard) -> Tensor:
        """See :class:`Scorer`."""
        images, columns = heard.image(self.spec)
        return self.network(RowStandardiser(self.mean, self.sd).apply(images, columns), columns).double()


class SvmScorer(Scorer):
    """A support vector machine on covariances; see ``training.svm``."""

    means: Tensor
    scales: Tensor
    support: Tensor
    norms: Tensor
    weights: Tensor
    intercepts: Tensor

    def __init__(self, spec: SvmSpec, fitted: FittedValues) -> None:
        super().__init__()
        if spec.pool != "covariance":
            raise ExportError(
                "a support vector machine can be exported on covariances only, this one is on pooled statistics"
            )
        self.spec = spec
        for name in ("means", "scales", "support", "weights", "intercepts"):
            self.register_buffer(name, torch.from_numpy(fitted.checkpoint.tensors[name]))
        self.register_buffer("norms", (self.support.double() ** 2).sum(dim=1).float())

    def forward(self, heard: Heard) -> Tensor:
        """See :class:`Scorer`."""
        values = ((heard.log_covariances(self.spec) - self.means) / self.scales).float()
        # ‖x − s‖² with one product in float32: gamma is so small that its rounding is lost in the exponential's.
        squares = (values**2).sum(dim=1, keepdim=True) - 2 * values @ self.support.T + self.norms
        kernel = (-gamma(self.spec, values.shape[1]) * squares.double()).exp()
        decisions = kernel @ self.weights.T + self.intercepts
        return nn.functional.pad(decisions, (1, 0)) if decisions.shape[1] == 1 else decisions


class EnsembleScorer(Scorer):
    """The mean of several models, each at its own slope; equal members are asked once."""

    shares: Tensor
    slopes: Tensor

    def __init__(self, fitted: FittedEnsemble) -> None:
        super().__init__()
        distinct: list[FittedModel] = []
        counts: list[int] = []
        for member in fitted.members:
            same = [number for number, other in enumerate(distinct) if _equal(member, other)]
            if same:
                counts[same[0]] += 1
            else:
                distinct.append(member)
                counts.append(1)
        self.average = fitted.spec.average
        self.members = nn.ModuleList(scorer_of(member) for member in distinct)
        self.register_buffer("shares", torch.tensor(counts, dtype=torch.float64)[:, None] / len(fitted.members))
        slopes = torch.tensor([member.recalibration.slope for member in distinct], dtype=torch.float64)
        self.register_buffer("slopes", slopes[:, None])

    def forward(self, heard: Heard) -> Tensor:
        """See :class:`Scorer`."""
        logs = (bounded(torch.cat([member(heard) for member in self.members])) * self.slopes).log_softmax(dim=1)
        if self.average == "probability":
            return (logs.exp() * self.shares).sum(dim=0, keepdim=True).log()
        return (logs * self.shares).sum(dim=0, keepdim=True)


def scorer_of(fitted: FittedModel) -> Scorer:
    """Return the module that says what ``fitted`` does.

    Raises:
        ExportError: its kind cannot be exported; see ``exportable`` of the catalog's specs.
    """
    if isinstance(fitted, FittedNetwork):
        return NetworkScorer(fitted)
    if isinstance(fitted, FittedEnsemble):
        return EnsembleScorer(fitted)
    if isinstance(fitted, FittedValues) and fitted.checkpoint.kind == "svm":
        return SvmScorer(SvmSpec.model_validate(fitted.checkpoint.spec), fitted)
    raise ExportError(f"a model of kind {fitted.checkpoint.kind} cannot be exported")


def bounded(logits: Tensor) -> Tensor:
    """Return the logarithms of the softmax of ``logits [members, classes]``, at least what a slope is given."""
    return logits.log_softmax(dim=1).clamp(min=math.log(SMALLEST))


def _equal(first: FittedModel, second: FittedModel) -> bool:
    """Return whether two fitted models are the same, bit by bit; some kinds do not depend on their seed."""
    left, right = first.checkpoint, second.checkpoint
    return (left.kind, left.spec) == (right.kind, right.spec) and all(
        np.array_equal(values, right.tensors[name]) for name, values in left.tensors.items()
    )
