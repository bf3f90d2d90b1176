"""Training of networks with Lightning: inner split, standardisation, early stopping, best weights.

Belongs here: what all networks share. Does not: layers (networks/), loss and batches (classifier.py), hybrid
images (features/hybrid.py), folds and files (runs.py, fold_folders.py).
"""

import logging
import math
import signal
import time
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import Tensor, nn

from cry_pipeline.catalog.specs import LfebAttentionLstmSpec
from cry_pipeline.features.hybrid import RowStandardiser, hybrid_images
from cry_pipeline.folds.splitting import inner_split
from cry_pipeline.progress import track
from cry_pipeline.training.checkpoints import Checkpoint, write_checkpoint
from cry_pipeline.training.classifier import Batches, Classifier, class_weights
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.models import Epoch, FitSettings

GRADIENT_NORM = 1.0
PREDICTION_BATCH = 64
NETWORK, MEAN, SD = "network.", "standardiser.mean", "standardiser.sd"
"""Names in the checkpoint: the prefix of the weights, and the standardisation of the image's rows [3, bins]."""
BIT_REPRODUCIBLE = "on a CPU with the same library versions, number of threads and instruction set; not on a GPU"


class TrainingError(RuntimeError):
    """Training gave no usable network; the message says what happened and what to change."""


class Recorder(pl.Callback):
    """Keeps the history, the weights of the epoch with the lowest validation loss, and shows progress."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.progress: Iterator[int] = iter(())
        self.history: list[Epoch] = []
        self.best_loss = math.inf
        self.best_epoch = -1
        self.best_weights: dict[str, Tensor] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin a bar or sparse log lines over all steps that there can be."""
        total = int(trainer.estimated_stepping_batches)
        self.progress = track(range(total), self.title, total=total, unit="batches")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the epoch's clock."""
        self.started = time.perf_counter()

    def on_train_batch_end(self, *_: Any, **__: Any) -> None:
        """Count a step."""
        next(self.progress)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the epoch, and its weights where they are the best so far; validation has been done by now."""
        if not isinstance(pl_module, Classifier):
            raise TypeError(f"The recorder is for a Classifier, not for a {type(pl_module).__name__}.")
        loss = float(trainer.callback_metrics["validation_loss"])
        rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        seconds = round(time.perf_counter() - self.started, 3)
        self.history.append(Epoch(trainer.current_epoch, pl_module.take_train_loss(), loss, rate, seconds))
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, trainer.current_epoch
            self.best_weights = {name: value.clone() for name, value in pl_module.network.state_dict().items()}

    def teardown(self, *_: Any, **__: Any) -> None:
        """Close the bar, also after early stopping and errors."""
        if isinstance(self.progress, Generator):
            self.progress.close()


class FittedNetwork:
    """A network with the standardisation of its training rows; predicts on the CPU."""

    def __init__(
        self,
        network: nn.Module,
        standardiser: RowStandardiser,
        classes: tuple[str, ...],
        spec: LfebAttentionLstmSpec,
        history: Sequence[Epoch] = (),
        notes: dict[str, Any] | None = None,
    ) -> None:
        self.network = network.cpu().eval()
        self.standardiser = standardiser
        self.classes = classes
        self.spec = spec
        self.history = history
        self.notes = notes or {}

    def predict_probabilities(self, rows: Rows) -> np.ndarray:
        """Return the softmax of the logits ``[recordings, classes]``, float64."""
        with _threads(1), torch.inference_mode():
            images, lengths = images_of(rows, self.spec)
            images = self.standardiser.apply(images, lengths)
            batches = Batches(images, lengths, torch.zeros_like(lengths), PREDICTION_BATCH, shuffle_seed=None)
            logits = torch.cat([self.network(images, lengths) for images, lengths, _ in batches])
        return logits.double().softmax(dim=1).numpy()

    def save(self, path: Path) -> None:
        """Write weights and standardisation to ``path``."""
        tensors = {f"{NETWORK}{name}": value.numpy() for name, value in self.network.state_dict().items()}
        tensors |= {MEAN: self.standardiser.mean.numpy(), SD: self.standardiser.sd.numpy()}
        write_checkpoint(path, Checkpoint(self.spec.kind, self.classes, self.spec.model_dump(mode="json"), tensors))


class NetworkModel:
    """Fits networks of one class, each made by ``network(number of classes, spec)``."""

    def __init__(self, network: Callable[[int, LfebAttentionLstmSpec], nn.Module]) -> None:
        self.network = network

    def fit(self, spec: LfebAttentionLstmSpec, train: Rows, settings: FitSettings) -> FittedNetwork:
        """Fit to about four fifths of the donors of ``train``; stop, and choose the epoch, by the others.

        Raises:
            TrainingError: no epoch had a finite validation loss.
            FoldError: the donors do not suffice for an inner split.
        """
        with _threads(settings.threads), torch.random.fork_rng(range(torch.cuda.device_count())):
            torch.manual_seed(settings.seed)
            return self._fit(spec, train, settings)

    def _fit(self, spec: LfebAttentionLstmSpec, train: Rows, settings: FitSettings) -> FittedNetwork:
        fit_ids, validation_ids = inner_split(train.table, settings.seed)
        fit, validation = train.take(fit_ids), train.take(validation_ids)
        images, lengths = images_of(fit, spec)
        standardiser = RowStandardiser.fit(images, lengths)
        labels = torch.from_numpy(fit.codes)
        fit_batches = Batches(standardiser.apply(images, lengths), lengths, labels, spec.batch_size, settings.seed)
        images, lengths = images_of(validation, spec)
        labels = torch.from_numpy(validation.codes)
        images = standardiser.apply(images, lengths)
        validation_batches = Batches(images, lengths, labels, PREDICTION_BATCH, shuffle_seed=None)
        network = self.network(len(train.classes), spec)
        weights = class_weights(fit_batches.labels, len(train.classes), spec.class_weight)
        classifier = Classifier(network, weights, spec, len(fit_batches))
        recorder, device = _run(classifier, fit_batches, validation_batches, settings)
        notes = {
            "device": device,
            "threads": settings.threads,
            "bit_reproducible": BIT_REPRODUCIBLE,
            "best_epoch": recorder.best_epoch,
            "fit_recordings": len(fit),
            "validation_recordings": len(validation),
        }
        network.load_state_dict(recorder.best_weights)
        return FittedNetwork(network, standardiser, train.classes, spec, recorder.history, notes)

    def restore(self, checkpoint: Checkpoint) -> FittedNetwork:
        """Return the network that was saved as ``checkpoint``."""
        spec = LfebAttentionLstmSpec.model_validate(checkpoint.spec)
        tensors = {name: torch.from_numpy(values) for name, values in checkpoint.tensors.items()}
        network = self.network(len(checkpoint.classes), spec)
        weights = {name.removeprefix(NETWORK): value for name, value in tensors.items() if name.startswith(NETWORK)}
        network.load_state_dict(weights)
        return FittedNetwork(network, RowStandardiser(tensors[MEAN], tensors[SD]), checkpoint.classes, spec)


def images_of(rows: Rows, spec: LfebAttentionLstmSpec) -> tuple[Tensor, Tensor]:
    """Return zero-padded hybrid images ``[recordings, 3, bins, columns]``, dB, and their columns ``[recordings]``."""
    return hybrid_images(rows.with_arrays(spec.inputs), spec.bins, spec.frame_pool)


def _run(classifier: Classifier, fit: Batches, validation: Batches, settings: FitSettings) -> tuple[Recorder, str]:
    """Train until the epochs or the patience are used up; return what was recorded, and the device's name."""
    recorder = Recorder(settings.title)
    with _quiet_lightning(), _interruptible():
        trainer = pl.Trainer(
            accelerator=settings.accelerator,
            devices=1,
            max_epochs=classifier.spec.epochs,
            gradient_clip_val=GRADIENT_NORM,
            callbacks=[recorder, EarlyStopping("validation_loss", patience=classifier.spec.patience)],
            # A fold's files are written when it is done, so Lightning keeps nothing on disk.
            logger=False,
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
def _threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` CPU threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


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
