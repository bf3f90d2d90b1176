"""What Lightning, history, progress and early stopping cost beside a loop that only trains.

Belongs here: the figure, and the rival. Does not: what the network learns.
"""

import time
from collections.abc import Iterator

import torch
from torch import Tensor

from cry_pipeline.catalog import LfebAttentionLstmSpec, load_catalog
from cry_pipeline.training.batches import Batches
from cry_pipeline.training.classifier import Classifier, class_weights
from cry_pipeline.training.fitted_network import threads
from cry_pipeline.training.models import FitSettings
from cry_pipeline.training.networks.lfeb import LfebAttentionLstm
from cry_pipeline.training.trainer import train_network
from cry_pipeline_tests.benchmarks.measuring import Figure, best_of

AIM = 0.95
SEED = 0


class Rivals:
    """The packaged LFEB network on images of noise, trained by us and by a bare loop, from the same weights."""

    def __init__(self, recordings: int, frames: int, epochs: int) -> None:
        spec = load_catalog().models["lfeb_attention_lstm"]
        if not isinstance(spec, LfebAttentionLstmSpec):
            raise TypeError(f"lfeb_attention_lstm is a {type(spec).__name__}")
        self.spec = spec.model_copy(update={"epochs": epochs, "patience": epochs})
        columns = -(-frames // spec.frame_pool)
        random = torch.Generator().manual_seed(SEED)
        self.images = torch.randn(recordings, len(spec.planes), spec.bins, columns, generator=random)
        self.lengths = torch.full((recordings,), columns)
        self.labels = torch.arange(recordings) % 2

    def ours(self) -> dict[str, Tensor]:
        """Train as a fold is trained; return the weights of the last epoch."""
        with threads(1):
            classifier, batches, validation = self._start()
            train_network(classifier, batches, validation, FitSettings())
        return classifier.network.state_dict()

    def bare(self) -> dict[str, Tensor]:
        """Train with nothing but PyTorch: the same batches, loss, clipping, optimiser, schedule, validation loss."""
        with threads(1):
            classifier, batches, validation = self._start()
            network, weights = classifier.network, classifier.class_weights
            optimiser = torch.optim.AdamW(
                network.parameters(), lr=self.spec.learning_rate, weight_decay=self.spec.weight_decay
            )
            steps = self.spec.epochs * len(batches)
            schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, self.spec.learning_rate, total_steps=steps)
            for _ in range(self.spec.epochs):
                network.train()
                for images, lengths, labels in batches:
                    optimiser.zero_grad()
                    losses = torch.nn.functional.cross_entropy(network(images, lengths), labels, reduction="none")
                    (losses * weights[labels]).mean().backward()
                    torch.nn.utils.clip_grad_norm_(network.parameters(), self.spec.gradient_norm)
                    optimiser.step()
                    schedule.step()
                network.eval()
                with torch.no_grad():
                    for images, lengths, labels in validation:
                        torch.nn.functional.cross_entropy(network(images, lengths), labels).item()
        return network.state_dict()

    def _start(self) -> tuple[Classifier, Batches, Batches]:
        torch.manual_seed(SEED)
        network = LfebAttentionLstm(2, self.spec)
        batches = Batches(self.images, self.lengths, self.labels, self.spec.batch_size, SEED)
        validation = Batches(self.images[:16], self.lengths[:16], self.labels[:16], 16, None)
        return (
            Classifier(network, class_weights(self.labels, 2, "balanced"), self.spec, len(batches)),
            batches,
            validation,
        )


def measures() -> Iterator[Figure]:
    """Yield the throughput of training, with all that surrounds it, over that of the bare loop."""
    recordings, epochs = 256, 4
    rivals = Rivals(recordings, frames=440, epochs=epochs)
    best = best_of({"ours": rivals.ours, "bare": rivals.bare}, rounds=3, clock=time.process_time)
    share = best["bare"] / best["ours"]
    each = {name: recordings * epochs / seconds for name, seconds in best.items()}
    yield Figure(
        "training throughput of LFEB over a bare PyTorch loop, one thread",
        f"{100 * share:.1f} % ({each['ours']:.0f} and {each['bare']:.0f} recordings per CPU-second)",
        f"≥ {100 * AIM:.0f} %",
        share >= AIM,
    )
