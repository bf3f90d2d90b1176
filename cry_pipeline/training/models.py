"""What every kind of model does, and what it is told and tells.

Belongs here: the protocols that implementations follow, and the values that pass between them and a run. Does not:
implementations (baselines.py, trainer.py) and which there are (registry.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from cry_pipeline.training.resolved import ON_A_CPU, Resolved

if TYPE_CHECKING:
    import numpy as np

    from cry_pipeline.training.calibration import HeldOut, Recalibration
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
    """How to fit, apart from the model's own spec.

    ``resolved`` says where networks are trained, how precisely and from which weights; ``title`` is what progress is
    shown under, ``device`` the number of the GPU where there are several,
    ``deterministic`` asks a GPU for the same bits every time, at the cost of speed, ``curves`` is a folder for
    TensorBoard's learning curves, None for none, and ``run`` is the digest of the run, and ``cohort`` what it is on,
    for the curves in MLflow: none where they are empty.

    One CPU thread is the default because on networks this small a second one gains little on an idle machine,
    costs much on a busy one (threads that wait for each other spin), and changes the last bits of results.
    """

    seed: int = 0
    resolved: Resolved = ON_A_CPU
    threads: int = 1
    device: int = 0
    deterministic: bool = False
    curves: Path | None = None
    title: str = "training"
    run: str = ""
    cohort: str = ""

    @property
    def on_gpu(self) -> bool:
        """Whether networks are trained on a GPU."""
        return self.resolved.accelerator != "cpu"


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

    @property
    def held_out(self) -> "HeldOut | None":
        """Answers for training rows by fits that did not see them; None where there are none, as after a restore."""
        ...

    @property
    def recalibration(self) -> "Recalibration":
        """What calibrates the probabilities; fitted on ``held_out``, none without."""
        ...

    @property
    def checkpoint(self) -> "Checkpoint":
        """All that is needed to predict; saved as a file, ``load_model`` gives equal predictions from it."""
        ...

    def predict_probabilities(self, rows: "Rows") -> "np.ndarray":
        """Return ``[recordings, classes]``, float64, rows summing to 1, not calibrated; must not need labels."""
        ...

    def save(self, path: Path) -> None:
        """Write the checkpoint to ``path``."""
        ...


class Model(Protocol):
    """A kind of model: fits specs of its kind to training rows."""

    def fit(self, spec: Any, train: "Rows", settings: FitSettings) -> FittedModel:
        """Fit to ``train``, which holds every class and no row of the test fold."""
        ...

    def restore(self, checkpoint: "Checkpoint") -> FittedModel:
        """Return the fitted model that was saved as ``checkpoint``."""
        ...
