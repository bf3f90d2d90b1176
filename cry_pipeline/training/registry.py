"""Which implementation fits a model of the catalog: one line per kind.

Belongs here: the registry. Does not: the protocol that implementations follow (models.py), and the implementations,
which are imported only when asked for: whoever loads the asset graph reads revisions, and does not wait for torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from cry_pipeline.training.models import FittedModel, Model


@dataclass(frozen=True)
class Registered:
    """``revision`` is raised with every change of code that changes results; ``make`` imports and makes the model."""

    revision: str
    make: Callable[[], Model]


def _baseline(name: str, revision: int) -> Registered:
    def make() -> Model:
        return getattr(import_module("cry_pipeline.training.baselines"), name)()

    return Registered(f"baseline-{revision}", make)


def _network(module: str, name: str, revision: int) -> Registered:
    def make() -> Model:
        from cry_pipeline.training.trainer import NetworkModel

        return NetworkModel(getattr(import_module(f"cry_pipeline.training.networks.{module}"), name))

    return Registered(f"trainer-{TRAINER_REVISION}-network-{revision}", make)


TRAINER_REVISION = 1
"""Revision of what networks share: batches, loss, schedule, stopping, hybrid images."""

MODELS: dict[str, Registered] = {
    "majority": _baseline("Majority", revision=1),
    "logistic_regression": _baseline("LogisticRegressionOnStatistics", revision=1),
    "lfeb_attention_lstm": _network("lfeb", "LfebAttentionLstm", revision=2),
}
"""Kind, as in ``models.yaml``, to its implementation. The revisions are kept here, not beside the code they
count, because digests are wanted without importing torch."""


def implementation(kind: str) -> Model:
    """Return the implementation of ``kind``; one that is not registered raises ``KeyError`` with the known ones."""
    if kind not in MODELS:
        raise KeyError(f"no model of kind {kind!r} is registered; known: {', '.join(sorted(MODELS))}")
    return MODELS[kind].make()


def load_model(path: Path) -> tuple[FittedModel, tuple[str, ...]]:
    """Read a fold's ``checkpoint.safetensors``; return the model and its classes in the order of its columns.

    Raises:
        CheckpointError: the file is damaged, or of a kind that is not registered.
    """
    from cry_pipeline.training.checkpoints import CheckpointError, read_checkpoint

    checkpoint = read_checkpoint(path)
    if checkpoint.kind not in MODELS:
        raise CheckpointError(f"{path} is of kind {checkpoint.kind!r}; registered are {', '.join(sorted(MODELS))}.")
    return implementation(checkpoint.kind).restore(checkpoint), checkpoint.classes
