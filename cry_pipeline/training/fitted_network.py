"""A trained network with all that is needed to ask it.

Belongs here: prediction, and what is saved. Does not: training (trainer.py).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from cry_pipeline.catalog.networks import NetworkSpec
from cry_pipeline.features.hybrid import RowStandardiser
from cry_pipeline.training.batches import Batches
from cry_pipeline.training.calibration import HeldOut, Recalibration
from cry_pipeline.training.checkpoints import Checkpoint, recalibration_of, recalibration_tensors, write_checkpoint
from cry_pipeline.training.datasets import Rows
from cry_pipeline.training.images import Images
from cry_pipeline.training.models import Epoch
from cry_pipeline.training.networks.base import Network
from cry_pipeline.training.run_images import images_of

PREDICTION_BATCH = 64
NETWORK, MEAN, SD = "network.", "standardiser.mean", "standardiser.sd"
"""Names in the checkpoint: the prefix of the weights, and the standardisation of the image's rows [planes, bins]."""


class FittedNetwork:
    """A network with the standardisation of its training rows; predicts on the CPU."""

    def __init__(
        self,
        network: Network,
        standardiser: RowStandardiser,
        classes: tuple[str, ...],
        spec: NetworkSpec,
        history: Sequence[Epoch] = (),
        notes: dict[str, Any] | None = None,
        recalibration: Recalibration | None = None,
    ) -> None:
        self.network = network.cpu().eval()
        self.standardiser = standardiser
        self.classes = classes
        self.spec = spec
        self.history = history
        self.notes = notes or {}
        self.recalibration = recalibration or Recalibration.none(len(classes))
        self.held_out: HeldOut | None = None

    @classmethod
    def restored(cls, network: Network, spec: NetworkSpec, checkpoint: Checkpoint) -> Self:
        """Return ``network`` with what was saved as ``checkpoint``."""
        tensors = {name: torch.from_numpy(values) for name, values in checkpoint.tensors.items()}
        weights = {name.removeprefix(NETWORK): value for name, value in tensors.items() if name.startswith(NETWORK)}
        network.load_state_dict(weights)
        standardiser = RowStandardiser(tensors[MEAN], tensors[SD])
        return cls(network, standardiser, checkpoint.classes, spec, recalibration=recalibration_of(checkpoint))

    def hold_out(self, held_out: HeldOut) -> None:
        """Take the answers for the inner validation rows, and what calibrates by them."""
        self.held_out, self.recalibration = held_out, held_out.recalibration

    def predict_probabilities(self, rows: Rows) -> np.ndarray:
        """Return the softmax of the logits ``[recordings, classes]``, float64."""
        with threads(1), torch.inference_mode():
            images = images_of(rows, self.spec)
            labels = torch.zeros(len(rows), dtype=torch.int64)
            batches = Batches(
                images.images,
                images.own_lengths,
                labels,
                PREDICTION_BATCH,
                shuffle_seed=None,
                positions=images.positions,
                standardise=self.standardiser.apply,
            )
            logits = torch.cat([self.network(images, lengths) for images, lengths, _ in batches])
        return logits.double().softmax(dim=1).numpy()

    @property
    def checkpoint(self) -> Checkpoint:
        """Weights, standardisation, slope and intercepts."""
        tensors = {f"{NETWORK}{name}": value.numpy() for name, value in self.network.state_dict().items()}
        tensors |= {MEAN: self.standardiser.mean.numpy(), SD: self.standardiser.sd.numpy()}
        tensors |= recalibration_tensors(self.recalibration)
        return Checkpoint(self.spec.kind_name, self.classes, self.spec.model_dump(mode="json"), tensors)

    def save(self, path: Path) -> None:
        """Write the checkpoint to ``path``."""
        write_checkpoint(path, self.checkpoint)


def batches_of(
    images: Images, standardiser: RowStandardiser, labels: Tensor, size: int, shuffle_seed: int | None = None
) -> Batches:
    """Return batches of ``images``: standardised at once where they are in memory, else each batch when it is cut."""
    lengths = images.own_lengths
    if images.mapped:
        return Batches(images.images, lengths, labels, size, shuffle_seed, images.positions, standardiser.apply)
    return Batches(standardiser.apply(images.images[images.positions], lengths), lengths, labels, size, shuffle_seed)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use ``count`` CPU threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
