"""From samples to probabilities in one graph: the fold models of a run, with the feature transform, as ONNX.

Belongs here: the torch module that is exported, exporting it, and holding the graph against it. Does not: the modules
of single models (scorers.py), which run (building.py), files around the graph (bundle.py), and comparing with stored
predictions (parity.py).

There is one code path: the FFT of the transform is exported as ONNX's own DFT, in float64, as torch computes it.

Each export is done in a process of its own: with torch 2.13 a second export of another model in the same process
gives a graph that fails at lengths other than the example's (what is left behind there is not known; see _check).
"""

import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from weakref import WeakSet

import numpy as np
import torch
from torch import Tensor, nn

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.corpus.decoding import MAX_DURATION_S
from cry_pipeline.features.computing import FeatureTransform
from cry_pipeline.inference.composing import composed
from cry_pipeline.inference.graphs import MEMBERS, PROBABILITIES, SAMPLES, TOLERANCE, open_graph, run_graph
from cry_pipeline.inference.scorers import ExportError, Heard, bounded, scorer_of
from cry_pipeline.side_by_side import end_with
from cry_pipeline.training.calibration import Recalibration
from cry_pipeline.training.models import FittedModel

if TYPE_CHECKING:
    import onnx

OPSET = 20
_exporting: "WeakSet[subprocess.Popen[str]]" = WeakSet()


class FoldEnsemble(nn.Module):
    """Samples → features → each fold's model, calibrated → their mean.

    Args:
        feature_set: the transform's parameters.
        members: the fold models of one run, in the order of their folds.
        recalibrations: what calibrates each member.

    Raises:
        ExportError: a member is of a kind that cannot be exported.
    """

    def __init__(
        self, feature_set: FeatureSetSpec, members: Sequence[FittedModel], recalibrations: Sequence[Recalibration]
    ) -> None:
        super().__init__()
        self.feature_set = feature_set
        self.transform = FeatureTransform(feature_set)
        self.members = nn.ModuleList(scorer_of(member) for member in members)
        self.together = Together(recalibrations)
        self.eval()

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean probabilities ``[1, classes]`` and each member's ``[members, classes]``, float32.

        Args:
            samples: one recording at the feature set's rate, float32 ``[1, samples]`` in [-1, 1].
        """
        heard = _heard(samples, self.transform)
        return self.together(torch.cat([member(heard) for member in self.members]))


class Together(nn.Module):
    """The members' logits → what each says, calibrated, and their mean."""

    slopes: Tensor
    intercepts: Tensor

    def __init__(self, recalibrations: Sequence[Recalibration]) -> None:
        super().__init__()
        slopes, intercepts = zip(*recalibrations, strict=True)
        self.register_buffer("slopes", torch.tensor(slopes, dtype=torch.float64)[:, None])
        self.register_buffer("intercepts", torch.tensor(intercepts, dtype=torch.float64))

    def forward(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean probabilities ``[1, classes]`` and each member's ``[members, classes]``, float32."""
        members = (bounded(logits) * self.slopes + self.intercepts).softmax(dim=1)
        return members.mean(dim=0, keepdim=True).float(), members.float()


class OneMember(nn.Module):
    """Samples → features → one fold's model: what is traced, and stands for all members."""

    def __init__(self, transform: FeatureTransform, member: nn.Module) -> None:
        super().__init__()
        self.transform, self.member = transform, member
        self.eval()

    def forward(self, samples: Tensor) -> Tensor:
        """Return the member's logits, float64 ``[1, classes]``."""
        return self.member(_heard(samples, self.transform))


def _heard(samples: Tensor, transform: FeatureTransform) -> Heard:
    lengths = torch.full((1,), samples.shape[1], dtype=torch.int64)
    after_first = lengths + transform.spec.padding_samples - transform.spec.n_fft
    return Heard(transform(samples, lengths), 1 + after_first // transform.spec.hop_samples)


class Request(NamedTuple):
    """What to export, as JSON types: fold models of one run, what calibrates each, and the feature set's entry."""

    checkpoints: list[str]
    recalibrations: list[Recalibration]
    feature_set: dict[str, Any]
    min_duration_s: float
    path: str


def export_run(request: Request) -> float:
    """Export in a process of its own; return the largest difference between the graph and torch.

    Raises:
        ExportError: as :func:`export`, or the process failed in another way.
    """
    # One thread: tracing is Python's work, and a check's sums stay in one order.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", __name__, json.dumps(request._asdict())]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:  # noqa: S603
        _exporting.add(process)
        said, complained = process.communicate()
    if process.returncode:
        last = (complained.strip().splitlines() or ["it said nothing"])[-1]
        raise ExportError(f"{request.path} could not be exported: {last}")
    return float(said.strip().splitlines()[-1])


@contextmanager
def exports_ended() -> Iterator[None]:
    """End the exports of other threads where this is left with an error, as Ctrl-C is; they would be waited for."""
    try:
        yield
    except BaseException:
        for process in tuple(_exporting):
            process.kill()
        raise


def _export_requested(request: Request) -> float:
    from cry_pipeline.training.registry import load_model

    members = [load_model(Path(path))[0] for path in request.checkpoints]
    feature_set = FeatureSetSpec.model_validate(request.feature_set)
    ensemble = FoldEnsemble(feature_set, members, request.recalibrations)
    return export(ensemble, Path(request.path), min_duration_s=request.min_duration_s)


def export(ensemble: FoldEnsemble, path: Path, *, min_duration_s: float) -> float:
    """Write ``ensemble`` to ``path`` as ONNX, check it against torch, and return the largest difference found.

    Args:
        ensemble: what to export.
        path: the file to write.
        min_duration_s: the shortest recording that the graph is to take; the longest is what decoding allows.

    Raises:
        ExportError: the graph is not valid ONNX, or differs from torch by more than :data:`TOLERANCE`.
    """
    import onnx
    import onnxscript

    rate_hz = ensemble.feature_set.sample_rate_hz
    shortest, longest = int(np.ceil(min_duration_s * rate_hz)), int(MAX_DURATION_S * rate_hz)
    alone = [OneMember(ensemble.transform, member) for member in ensemble.members]
    samples = {1: torch.export.Dim("samples", min=shortest, max=longest)}
    body = _traced(alone[0], torch.zeros(1, 3 * shortest + 1), [SAMPLES], ["logits"], samples)
    with torch.inference_mode():
        logits = torch.cat([member(torch.zeros(1, shortest)) for member in alone])
    head = _traced(ensemble.together, logits, ["logits"], [PROBABILITIES, MEMBERS])
    model = onnxscript.optimizer.optimize(composed(body, [_weights(member) for member in alone], head))
    for node in model.graph.node:
        # Where in the source each node comes from, with this machine's paths.
        del node.metadata_props[:]
        node.doc_string = ""
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return _check(ensemble, path, shortest)


def _traced(
    module: nn.Module, example: Tensor, inputs: list[str], outputs: list[str], free: dict[int, Any] | None = None
) -> "onnx.ModelProto":
    """Return ``module`` as ONNX, as it is written: optimised is the whole. ``free``: the axes of any length."""
    with _quiet():
        program = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            input_names=inputs,
            output_names=outputs,
            dynamic_shapes=(free,) if free else None,
            verbose=False,
            optimize=False,
        )
    if program is None:
        raise ExportError("torch gave no ONNX program")
    return program.model_proto


def _weights(member: OneMember) -> dict[str, np.ndarray]:
    """Return what differs by member, by the names that its tensors have in a graph."""
    tensors = {**dict(member.named_parameters()), **dict(member.named_buffers())}
    return {name: value.detach().numpy() for name, value in tensors.items() if name.startswith("member.")}


def _check(ensemble: FoldEnsemble, path: Path, shortest: int) -> float:
    """Return the largest difference between the graph at ``path`` and torch, over lengths at which frames change."""
    graph, hop = open_graph(path), ensemble.feature_set.hop_samples
    largest, generator = 0.0, torch.Generator().manual_seed(0)
    for length in (shortest, shortest + 1, 2 * shortest - shortest % hop - 1, 7 * shortest, 23 * shortest + hop // 2):
        envelope = torch.linspace(0, 12, length).sin().abs()
        samples = (torch.rand(1, length, generator=generator) * 2 - 1) * envelope * 0.3
        with torch.inference_mode():
            torch_says = [output.numpy() for output in ensemble(samples)]
        graph_says = run_graph(graph, samples[0].numpy())
        difference = max(float(np.abs(a - b).max()) for a, b in zip(torch_says, graph_says, strict=True))
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the graph differs from torch by {difference:.2g} at {length} samples; allowed are {TOLERANCE}"
            )
        largest = max(largest, difference)
    return largest


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back torch's remarks on its own exporter; errors stay."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.filterwarnings("ignore", ".*were assigned during export.*", UserWarning)
            yield
    finally:
        log.setLevel(level)


if __name__ == "__main__":
    end_with(os.getppid())
    sys.stdout.write(f"{_export_requested(Request(**json.loads(sys.argv[1])))!r}\n")
