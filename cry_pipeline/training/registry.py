"""Which implementation fits a model of the catalog: one line per kind.

Belongs here: the registry. Does not: the protocol that implementations follow (models.py), and the implementations,
which are imported only when asked for: whoever loads the asset graph reads revisions, and does not wait for torch.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

from cry_pipeline.catalog.base import BaseModelSpec
from cry_pipeline.catalog.models import EnsembleSpec
from cry_pipeline.catalog.networks import LfebAttentionLstmSpec, NetworkSpec, ResNet50AttentionSpec
from cry_pipeline.training.models import FittedModel, Model


@dataclass(frozen=True)
class Registered:
    """``revision`` is raised with every change of code that changes results; ``make`` imports and makes the model."""

    revision: str
    make: Callable[[], Model]


def _ensemble() -> Model:
    from cry_pipeline.training.ensemble import Ensemble

    return Ensemble(implementation)


def _values(module: str, name: str, revision: int) -> Registered:
    def make() -> Model:
        return getattr(import_module(f"cry_pipeline.training.{module}"), name)()

    return Registered(f"values-{VALUES_REVISION}-{name}-{revision}", make)


def _network(module: str, name: str, spec: type[NetworkSpec], revision: int) -> Registered:
    def make() -> Model:
        from cry_pipeline.training.trainer import NetworkModel

        return NetworkModel(getattr(import_module(f"cry_pipeline.training.networks.{module}"), name), spec)

    return Registered(f"trainer-{TRAINER_REVISION}-network-{revision}", make)


VALUES_REVISION = 2
"""Revision of what models on one row of values share: inner folds, what calibrates."""
TRAINER_REVISION = 3
"""Revision of what networks share: batches, augmentation, loss, schedule, stopping, hybrid images, what calibrates."""
COPIES_REVISION = 1
"""Revision of the copies that ``augment_then_split`` makes, see copies.py."""

MODELS: dict[str, Registered] = {
    "majority": _values("baselines", "Majority", revision=1),
    "metadata": _values("baselines", "LogisticRegressionOnMetadata", revision=2),
    "logistic_regression": _values("baselines", "LogisticRegressionOnStatistics", revision=1),
    "random_forest": _values("forests", "RandomForest", revision=1),
    "hist_gradient_boosting": _values("forests", "GradientBoosting", revision=1),
    "svm": _values("svm", "SupportVectorMachine", revision=1),
    "lfeb_attention_lstm": _network("lfeb", "LfebAttentionLstm", LfebAttentionLstmSpec, revision=3),
    "resnet50_attention": _network("resnet", "ResNet50Attention", ResNet50AttentionSpec, revision=1),
    "ensemble": Registered("ensemble-2", _ensemble),
}
"""Kind, as in ``models.yaml``, to its implementation. The revisions are kept here, not beside the code they
count, because digests are wanted without importing torch."""


def revision_of(spec: BaseModelSpec) -> str:
    """Return the revision of what fits ``spec``; an ensemble's takes in its members'."""
    specs = [spec, *spec.specs] if isinstance(spec, EnsembleSpec) else [spec]
    return " ".join(MODELS[spec.kind_name].revision for spec in specs)


def implementation(kind: str) -> Model:
    """Return the implementation of ``kind``; one that is not registered raises ``KeyError`` with the known ones."""
    if kind not in MODELS:
        raise KeyError(f"no model of kind {kind!r} is registered; known: {', '.join(sorted(MODELS))}")
    return MODELS[kind].make()


def load_model(path: Path) -> tuple[FittedModel, tuple[str, ...]]:
    """Read a fold's ``checkpoint.safetensors``; return the model and its classes in the order of its columns.

    Raises:
        CheckpointError: the file is damaged, of a kind that is not registered, or of another version.
    """
    from cry_pipeline.training.checkpoints import CheckpointError, read_checkpoint

    checkpoint = read_checkpoint(path)
    if checkpoint.kind not in MODELS:
        raise CheckpointError(f"{path} is of kind {checkpoint.kind!r}; registered are {', '.join(sorted(MODELS))}.")
    try:
        return implementation(checkpoint.kind).restore(checkpoint), checkpoint.classes
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path} is not what this version reads ({type(error).__name__}: {error}): train the fold again, or use "
            "the version that wrote it."
        ) from error
