"""Which implementation fits a model of the catalog: one line per kind.

Belongs here: the registry and the protocol that implementations follow. Does not: the implementations,
which are imported only when asked for: whoever loads the asset graph reads revisions, and does not wait for torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    import numpy as np

    from cry_pipeline.training.checkpoints import Checkpoint
    from cry_pipeline.training.datasets import Rows


class Epoch(NamedTuple):
    """One line of ``history.csv``: losses are means over recordings, ``seconds`` is the epoch's wall time."""

    epoch: int
    train_loss: float
    validation_loss: float
    learning_rate: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class FitSettings:
    """How to fit, apart from the model's own spec; ``title`` is what progress is shown under.

    One CPU thread is the default because on networks this small a second one gains little on an idle machine,
    costs much on a busy one (threads that wait for each other spin), and changes the last bits of results.
    """

    seed: int = 0
    accelerator: str = "auto"
    threads: int = 1
    title: str = "training"


class FittedModel(Protocol):
    """A model that has seen its training rows."""

    @property
    def history(self) -> Sequence[Epoch]:
        """Epochs of training; empty for what is solved in one go."""
        ...

    @property
    def notes(self) -> dict[str, Any]:
        """Facts for the provenance as JSON types, ``device`` and ``bit_reproducible`` among them."""
        ...

    def predict_probabilities(self, rows: "Rows") -> "np.ndarray":
        """Return ``[recordings, classes]``, float64, rows summing to 1; must not need labels."""
        ...

    def save(self, path: Path) -> None:
        """Write a safetensors checkpoint from which :func:`load_model` gives equal predictions."""
        ...


class Model(Protocol):
    """A kind of model: fits specs of its kind to training rows."""

    def fit(self, spec: Any, train: "Rows", settings: FitSettings) -> FittedModel:
        """Fit to ``train``, which holds every class and no row of the test fold."""
        ...

    def restore(self, checkpoint: "Checkpoint") -> FittedModel:
        """Return the fitted model that was saved as ``checkpoint``."""
        ...


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
