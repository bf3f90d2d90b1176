"""Training of networks with Lightning: inner split, standardisation, early stopping, best weights.

Belongs here: what all networks share. Does not: layers (networks/), loss (classifier.py), batches and images
(batches.py, images.py), a trained network (fitted_network.py), folds and files (runs.py, fold_folders.py).
"""

import logging
import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from cry_pipeline.catalog.networks import AugmentationSpec, NetworkSpec
from cry_pipeline.features.hybrid import RowStandardiser
from cry_pipeline.folds.splitting import inner_split
from cry_pipeline.training.augmentation import Augmentation
from cry_pipeline.training.batches import Batches
from cry_pipeline.training.calibration import HeldOut
from cry_pipeline.training.checkpoints import Checkpoint
from cry_pipeline.training.classifier import Classifier, class_weights, logit_offsets
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.fitted_network import PREDICTION_BATCH, FittedNetwork, batches_of, threads
from cry_pipeline.training.mlflow_curves import mlflow_curves
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.networks.base import Network
from cry_pipeline.training.recorder import Recorder, TrainingError
from cry_pipeline.training.run_images import images_of

BIT_REPRODUCIBLE = "on a CPU with the same library versions, number of threads and instruction set"
CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
NetworkSpecT = TypeVar("NetworkSpecT", bound=NetworkSpec)


class NetworkModel(Generic[NetworkSpecT]):
    """Fits networks of one class, each made by ``network(number of classes, spec)`` with a spec of class ``spec``."""

    def __init__(self, network: Callable[[int, NetworkSpecT], Network], spec: type[NetworkSpecT]) -> None:
        self.network = network
        self.spec = spec

    def fit(self, spec: NetworkSpecT, train: Rows, settings: FitSettings) -> FittedNetwork:
        """Fit to about four fifths of the donors of ``train``; stop, and choose the epoch, by the others.

        Raises:
            TrainingError: no epoch had a finite validation loss.
            FoldError: the donors do not suffice for an inner split.
        """
        with threads(settings.threads), torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(settings.seed)
            return self._fit(spec, train, settings)

    def _fit(self, spec: NetworkSpecT, train: Rows, settings: FitSettings) -> FittedNetwork:
        fit_ids, validation_ids = inner_split(train.table, settings.seed)
        fit, validation = train.take(fit_ids), train.take(validation_ids)
        images = images_of(fit, spec)
        standardiser = RowStandardiser.fit(images.images, images.own_lengths, images.positions)
        labels = torch.from_numpy(fit.codes)
        fit_batches = batches_of(images, standardiser, labels, spec.batch_size, settings.seed)
        validation_batches = batches_of(
            images_of(validation, spec), standardiser, torch.from_numpy(validation.codes), PREDICTION_BATCH
        )
        network, classes = self.network(len(train.classes), spec), len(train.classes)
        started_from = network.start(settings.resolved.weights)
        classifier = Classifier(
            network,
            class_weights(labels, classes, spec.class_weight),
            spec,
            len(fit_batches),
            logit_offsets(labels, classes, spec.logit_adjustment),
            _augmentation(spec, standardiser, settings.seed),
        )
        recorder, device = train_network(classifier, fit_batches, validation_batches, settings)
        network.load_state_dict(recorder.best_weights)
        notes = {
            "device": device,
            "precision": settings.resolved.precision,
            "threads": settings.threads,
            "bit_reproducible": BIT_REPRODUCIBLE + _on_gpu(settings),
            "started_from": started_from,
            "best_epoch": recorder.best_epoch,
            "fit_recordings": len(fit),
            "validation_recordings": len(validation),
        }
        fitted = FittedNetwork(network, standardiser, train.classes, spec, recorder.history, notes)
        fitted.hold_out(HeldOut(validation_ids, validation.codes, fitted.predict_probabilities(validation)))
        return fitted

    def restore(self, checkpoint: Checkpoint) -> FittedNetwork:
        """Return the network that was saved as ``checkpoint``."""
        spec = self.spec.model_validate(checkpoint.spec)
        return FittedNetwork.restored(self.network(len(checkpoint.classes), spec), spec, checkpoint)


def _augmentation(spec: NetworkSpec, standardiser: RowStandardiser, seed: int) -> Augmentation | None:
    if spec.augmentation == AugmentationSpec():
        return None
    return Augmentation(spec.augmentation, spec.planes, standardiser.sd, seed)


def _on_gpu(settings: FitSettings) -> str:
    return "; on a GPU too, as asked" if settings.deterministic else "; not on a GPU"


def train_network(
    classifier: Classifier, fit: Batches, validation: Batches, settings: FitSettings
) -> tuple[Recorder, str]:
    """Train until the epochs or the patience are used up; return what was recorded, and the device."""
    recorder, resolved = Recorder(settings.title, settings.curves), settings.resolved
    with _quiet_lightning(), _interruptible(), _determinism_kept():
        trainer = pl.Trainer(
            accelerator="cuda" if resolved.accelerator == "gpu" else resolved.accelerator,
            devices=[settings.device] if resolved.accelerator == "gpu" else 1,
            precision=resolved.precision,
            deterministic=settings.deterministic,
            max_epochs=classifier.spec.epochs,
            gradient_clip_val=classifier.spec.gradient_norm,
            callbacks=[recorder, EarlyStopping("validation_loss", patience=classifier.spec.patience)],
            # A fold's files are written when it is done, so Lightning keeps nothing on disk.
            logger=mlflow_curves(settings) or False,
            log_every_n_steps=1,
            enable_checkpointing=False,
            enable_model_summary=False,
            enable_progress_bar=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(classifier, fit, validation)
    if not recorder.best_weights:
        raise TrainingError(
            f"{settings.title}: the validation loss was never finite; lower the model's learning_rate, "
            f"now {classifier.spec.learning_rate}."
        )
    return recorder, trainer.strategy.root_device.type


@contextmanager
def _determinism_kept() -> Iterator[None]:
    """Set back what Lightning asks of the whole process for the sake of ``deterministic``, also where it is not."""
    asked, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(CUBLAS)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(asked, warn_only=warned)
        os.environ.pop(CUBLAS, None)
        if workspace is not None:
            os.environ[CUBLAS] = workspace


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end training as it ends other code; Lightning would exit the process, a notebook's too."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as left:
        if isinstance(left.__context__, KeyboardInterrupt):
            signal.signal(signal.SIGINT, handler)  # Lightning has had it ignored
            raise KeyboardInterrupt from left
        raise


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hold back Lightning's remarks on devices and on itself; warnings stay, but for one about its own code."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 asks torch 2.13 for a tree in a way that torch will drop; nothing here can change that.
            warnings.filterwarnings("ignore", ".*LeafSpec.* is deprecated", module="pytorch_lightning")
            yield
    finally:
        logger.setLevel(level)
