"""The LightningModule that every network is trained in.

Belongs here: loss, optimiser, learning-rate schedule. Does not: a network's layers (networks/), batches (batches.py)
and what is done to them at random (augmentation.py), who is trained and when to stop (trainer.py).
"""

import math
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from cry_pipeline.catalog.networks import NetworkSpec
from cry_pipeline.training.augmentation import Augmentation
from cry_pipeline.training.batches import Batch

WARM_UP = 0.1
"""Share of the steps in which the learning rate of the cosine schedule rises."""


class Classifier(pl.LightningModule):
    """Cross-entropy, AdamW and a schedule around a network.

    Args:
        network: ``forward(images, lengths) -> logits``.
        class_weights: weight of a recording of each class ``[classes]``, see :func:`class_weights`.
        spec: learning rate, weight decay, schedule, epochs, label smoothing.
        batches: optimiser steps in an epoch.
        logit_offsets: what the loss adds to the logits ``[classes]``, see :func:`logit_offsets`; None for nothing.
        augmentation: what is done to training batches; None for nothing.
    """

    class_weights: Tensor
    logit_offsets: Tensor
    train_loss: Tensor

    def __init__(
        self,
        network: nn.Module,
        class_weights: Tensor,
        spec: NetworkSpec,
        batches: int,
        logit_offsets: Tensor | None = None,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.spec = spec
        self.augmentation = augmentation
        self.steps = spec.epochs * batches
        self.register_buffer("class_weights", class_weights)
        offsets = torch.zeros_like(class_weights) if logit_offsets is None else logit_offsets
        self.register_buffer("logit_offsets", offsets, persistent=False)
        self.register_buffer("train_loss", torch.zeros(2), persistent=False)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """Return the batch's loss, and add it to the epoch's mean."""
        images, lengths, labels = batch
        targets = self._targets(labels)
        if self.spec.label_smoothing:
            targets = targets * (1 - self.spec.label_smoothing) + self.spec.label_smoothing / targets.shape[1]
        if self.augmentation:
            images, lengths, targets = self.augmentation(images, lengths, targets)
        loss = self._loss(images, lengths, targets)
        # Summed here: self.log() in every step would cost more than it tells.
        self.train_loss += torch.stack([loss.detach() * len(labels), loss.new_tensor(len(labels))])
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """Log ``validation_loss``, the mean over the inner validation recordings as they are."""
        images, lengths, labels = batch
        loss = self._loss(images, lengths, self._targets(labels))
        # To the callbacks alone: the recorder tells loggers of it by the epoch, with all else.
        self.log("validation_loss", loss, on_epoch=True, batch_size=len(labels), logger=False)

    def take_train_loss(self) -> float:
        """Return the mean training loss since this was last asked."""
        total, recordings = self.train_loss.tolist()
        self.train_loss.zero_()
        return total / recordings

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate rises to ``spec.learning_rate`` and falls to nearly 0 within ``spec.epochs``.

        ``one_cycle`` is torch's OneCycleLR; ``cosine`` rises in a straight line for a tenth of the steps.
        """
        rate = self.spec.learning_rate
        optimiser = torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=self.spec.weight_decay)
        if self.spec.schedule == "one_cycle":
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=rate, total_steps=self.steps)
        else:
            schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: cosine(step, self.steps))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _targets(self, labels: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(labels, len(self.class_weights)).float()

    def _loss(self, images: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        logits = self.network(images, lengths).float() + self.logit_offsets
        # Divided by the number of recordings, not by the sum of their weights as torch's "mean" does: that
        # would give a batch without rare classes the full pull of one with them.
        return -(logits.log_softmax(dim=1) * targets * self.class_weights).sum(dim=1).mean()


def cosine(step: int, steps: int) -> float:
    """Return the share of the full learning rate at ``step`` of ``steps``: up in a line, down as half a cosine."""
    rise = max(round(WARM_UP * steps), 1)
    if step < rise:
        return (step + 1) / (rise + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - rise + 1) / (steps - rise + 1)))


def class_weights(codes: Tensor, classes: int, balance: str) -> Tensor:
    """Return float32 weights ``[classes]`` with mean 1 over the recordings with ``codes``.

    ``balanced``: recordings / (classes · recordings of the class), as scikit-learn's; ``none``: ones.
    """
    if balance == "none":
        return torch.ones(classes)
    counts = torch.bincount(codes, minlength=classes)
    return len(codes) / (classes * counts.clamp(min=1).float())


def logit_offsets(codes: Tensor, classes: int, strength: float) -> Tensor:
    """Return ``strength`` · log of each class's share of the recordings with ``codes``, float32 ``[classes]``.

    Added to the logits in the loss only, they take what the frequencies tell out of what the network has to learn
    (Menon et al. 2021, arXiv 2007.07314): the rare classes are then not answered too seldom.
    """
    counts = torch.bincount(codes, minlength=classes)
    return strength * (counts.clamp(min=1) / len(codes)).log().float()
