"""Fitted models as files: safetensors with one JSON header, never a pickle.

Belongs here: the file format. Does not: which tensors a model has (each model says that itself).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cry_pipeline.artefacts import open_plain
from cry_pipeline.training.calibration import Recalibration

HEADER = "cry_pipeline"
"""The one metadata key: safetensors writes several keys in no fixed order, and equal models are equal bytes."""

SLOPE_TENSOR, INTERCEPTS_TENSOR = "calibration.slope", "calibration.intercepts"
"""Names of the tensors, float64 [1] and [classes], that hold what calibrates a model."""
_TEMPERATURE_TENSOR = "temperature"
"""What calibrated alone before there were intercepts, float64 [1]: the inverse of a slope."""


class CheckpointError(ValueError):
    """A file is not a checkpoint of this project; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Checkpoint:
    """What is needed to predict: ``kind`` of model, ``classes`` in order, ``spec`` as JSON types, and tensors."""

    kind: str
    classes: tuple[str, ...]
    spec: dict[str, Any]
    tensors: Mapping[str, np.ndarray]


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write ``checkpoint`` to ``path``; the same checkpoint always gives the same bytes."""
    from safetensors.numpy import save

    header = {"kind": checkpoint.kind, "classes": checkpoint.classes, "spec": checkpoint.spec}
    tensors = {name: np.ascontiguousarray(values) for name, values in checkpoint.tensors.items()}
    path.write_bytes(save(tensors, metadata={HEADER: json.dumps(header, sort_keys=True)}))


def read_checkpoint(path: Path) -> Checkpoint:
    """Read what :func:`write_checkpoint` wrote.

    Raises:
        CheckpointError: the file is missing, damaged, or a safetensors file of something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        os.close(open_plain(path, os.O_RDONLY))  # or safetensors would wait for the other end of a pipe
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {})[HEADER])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        return Checkpoint(str(header["kind"]), tuple(header["classes"]), header["spec"], tensors)
    except (OSError, SafetensorError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path} is not a readable checkpoint ({type(error).__name__}: {error}); train the fold again."
        ) from error


def recalibration_of(checkpoint: Checkpoint) -> Recalibration:
    """Return what calibrates the model, also where it was saved with a temperature; none where none was fitted."""
    tensors, none = checkpoint.tensors, Recalibration.none(len(checkpoint.classes))
    if SLOPE_TENSOR in tensors:
        return Recalibration(float(tensors[SLOPE_TENSOR][0]), tuple(tensors[INTERCEPTS_TENSOR].tolist()))
    if _TEMPERATURE_TENSOR in tensors:
        return Recalibration(1 / float(tensors[_TEMPERATURE_TENSOR][0]), none.intercepts)
    return none


def recalibration_tensors(recalibration: Recalibration) -> dict[str, np.ndarray]:
    """Return the tensors that :func:`recalibration_of` reads."""
    return {
        SLOPE_TENSOR: np.array([recalibration.slope]),
        INTERCEPTS_TENSOR: np.array(recalibration.intercepts, dtype=np.float64),
    }
