"""What is kept of a network's training while it goes on.

Belongs here: history, best weights, progress, learning curves. Does not: when training stops (trainer.py).
"""

import math
import shutil
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from torch import Tensor

from cry_pipeline.progress import track
from cry_pipeline.training.classifier import Classifier
from cry_pipeline.training.models import Epoch

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class TrainingError(RuntimeError):
    """Training gave no usable network, or cannot be done as asked; the message says what to change."""


class Recorder(pl.Callback):
    """Keeps the history, the weights of the epoch with the lowest validation loss, and shows progress.

    Args:
        title: what progress is shown under.
        curves: a folder for TensorBoard's learning curves, written as training goes; None for none.
    """

    def __init__(self, title: str, curves: Path | None = None) -> None:
        self.title = title
        self.writer = None if curves is None else _writer(curves)
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
        curves = {name: value for name, value in self.history[-1]._asdict().items() if name != "epoch"}
        for logger in trainer.loggers:
            logger.log_metrics(curves, trainer.current_epoch)
        if self.writer is not None:
            for name, value in curves.items():
                self.writer.add_scalar(name, value, trainer.current_epoch)
        if loss < self.best_loss:
            self.best_loss, self.best_epoch = loss, trainer.current_epoch
            self.best_weights = {name: value.clone() for name, value in pl_module.network.state_dict().items()}

    def teardown(self, *_: Any, **__: Any) -> None:
        """Close the bar and the curves, also after early stopping and errors."""
        if self.writer is not None:
            self.writer.close()
        if isinstance(self.progress, Generator):
            self.progress.close()


def _writer(folder: Path) -> "SummaryWriter":
    """Return a writer of curves into ``folder``, emptied of those of a training that did not end."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise TrainingError(
            "Learning curves for TensorBoard need the extra: pip install 'cry-pipeline[tensorboard]', or ask for none."
        ) from None
    shutil.rmtree(folder, ignore_errors=True)
    return SummaryWriter(str(folder))
