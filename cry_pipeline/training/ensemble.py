"""Several models asked together.

Belongs here: fitting the members, and the mean of their answers. Does not: any member's own kind.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cry_pipeline.catalog.models import EnsembleSpec
from cry_pipeline.training.calibration import HeldOut, Recalibration, log_calibrated
from cry_pipeline.training.checkpoints import Checkpoint, recalibration_of, recalibration_tensors, write_checkpoint
from cry_pipeline.training.datasets import Rows, TrainingDataError
from cry_pipeline.training.models import Epoch, FitSettings, FittedModel, Model


class FittedEnsemble:
    """Fitted members; each has its own slope before the mean is taken.

    Not its intercepts: an ensemble's answers are, as its members', as if all classes were equally frequent, and what
    calibrates them has intercepts of its own.
    """

    history: tuple[Epoch, ...] = ()

    def __init__(
        self,
        spec: EnsembleSpec,
        classes: tuple[str, ...],
        members: Sequence[FittedModel],
        *,
        held_out: HeldOut | None = None,
        recalibration: Recalibration | None = None,
    ) -> None:
        self.spec = spec
        self.classes = classes
        self.members = members
        self.held_out = held_out
        self.recalibration = recalibration or Recalibration.none(len(classes))

    @property
    def notes(self) -> dict[str, Any]:
        """See :class:`~cry_pipeline.training.models.FittedModel`; with the notes of each member."""
        members = [
            {"model": name, **member.notes, "slope": member.recalibration.slope}
            for name, member in zip(self.spec.members, self.members, strict=True)
        ]
        devices = sorted({str(notes["device"]) for notes in members})
        return {"device": ", ".join(devices), "bit_reproducible": "as the members are", "members": members}

    def predict_probabilities(self, rows: Rows) -> np.ndarray:
        """Return the mean of the members' answers, each at its slope, ``[recordings, classes]``, float64."""
        answers = [(member.predict_probabilities(rows), member.recalibration.slope) for member in self.members]
        return _mean(np.stack([log_calibrated(*answer) for answer in answers]), self.spec.average)

    @property
    def checkpoint(self) -> Checkpoint:
        """The members' tensors, under ``<number>.``."""
        tensors = {
            f"{number}.{name}": values
            for number, member in enumerate(self.members)
            for name, values in member.checkpoint.tensors.items()
        }
        tensors |= recalibration_tensors(self.recalibration)
        return Checkpoint(self.spec.kind, self.classes, self.spec.model_dump(mode="json"), tensors)

    def save(self, path: Path) -> None:
        """Write the checkpoint to ``path``."""
        write_checkpoint(path, self.checkpoint)


class Ensemble:
    """Fits each member to the same training rows, with a seed of its own.

    Args:
        implementation: returns what fits models of a kind; the registry's, which knows this one, too.
    """

    def __init__(self, implementation: Callable[[str], Model]) -> None:
        self.implementation = implementation

    def fit(self, spec: EnsembleSpec, train: Rows, settings: FitSettings) -> FittedEnsemble:
        """Fit the members, then what calibrates their mean to what they held out.

        Raises:
            TrainingDataError: the specs of the members are not filled in, as a catalog does.
        """
        if len(spec.specs) != len(spec.members):
            raise TrainingDataError(
                f"The ensemble of {', '.join(spec.members)} does not know its members' specs; load it with its catalog."
            )
        members: list[FittedModel] = []
        for number, member in enumerate(spec.specs):
            title = f"{settings.title} member {number}"
            curves = settings.curves and settings.curves / str(number)
            member_settings = replace(settings, seed=member_seed(settings.seed, number), title=title, curves=curves)
            members.append(self.implementation(member.kind).fit(member, train, member_settings))
        held_out = _held_out(members, spec.average)
        recalibration = held_out.recalibration if held_out else None
        return FittedEnsemble(spec, train.classes, members, held_out=held_out, recalibration=recalibration)

    def restore(self, checkpoint: Checkpoint) -> FittedEnsemble:
        """Return what was saved as ``checkpoint``."""
        spec = EnsembleSpec.model_validate(checkpoint.spec)
        members = []
        for number, member in enumerate(spec.specs):
            prefix = f"{number}."
            tensors = {
                name.removeprefix(prefix): values
                for name, values in checkpoint.tensors.items()
                if name.startswith(prefix)
            }
            member_checkpoint = Checkpoint(member.kind, checkpoint.classes, member.model_dump(mode="json"), tensors)
            members.append(self.implementation(member.kind).restore(member_checkpoint))
        return FittedEnsemble(spec, checkpoint.classes, members, recalibration=recalibration_of(checkpoint))


def member_seed(seed: int, number: int) -> int:
    """Return the seed of member ``number`` of an ensemble with ``seed``."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])


def _mean(log_probabilities: np.ndarray, average: str) -> np.ndarray:
    """Return the mean over the first axis of ``[members, recordings, classes]``, as probabilities."""
    from scipy.special import softmax

    if average == "probability":
        return np.exp(log_probabilities).mean(axis=0)
    return softmax(log_probabilities.mean(axis=0), axis=1)


def _held_out(members: Sequence[FittedModel], average: str) -> HeldOut | None:
    """Return, for training rows that members held out, the mean of the answers of those that did.

    Networks hold out an inner split each, other models all rows by inner folds. Where there are both, the rows are
    those of the networks: elsewhere the mean would lack the networks altogether. A row that not every member held
    out has the mean of fewer, which is a little less sure of itself than the ensemble will be.
    """
    parts = [(member.held_out, member.recalibration.slope) for member in members if member.held_out is not None]
    most = max((len(answers.recording_ids) for answers, _ in parts), default=0)
    fewer = [answers for answers, _ in parts if len(answers.recording_ids) < most] or [answers for answers, _ in parts]
    codes: dict[str, int] = {}
    for answers in fewer:
        codes |= zip(answers.recording_ids, answers.codes.tolist(), strict=True)
    if not codes:
        return None
    ids = sorted(codes)
    sums: dict[str, list[np.ndarray]] = {name: [] for name in ids}
    for answers, slope in parts:
        logs = log_calibrated(answers.probabilities, slope)
        for name, row in zip(answers.recording_ids, logs, strict=True):
            if name in sums:
                sums[name].append(row)
    means = [_mean(np.stack(rows)[:, None, :], average)[0] for rows in sums.values()]
    return HeldOut(ids, np.array([codes[name] for name in ids]), np.stack(means))
