"""A bundle against the pipeline: does it say of an audio file what the fold models said of its stored features?

Belongs here: the comparison, from raw files, through the bundle alone. Does not: what follows from a difference
(promotion.py, and the check in orchestration).
"""

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cry_pipeline.corpus.decoding import load_samples
from cry_pipeline.inference.bundle import Bundle
from cry_pipeline.inference.candidates import calibrated, of_repeat
from cry_pipeline.inference.graphs import TOLERANCE, open_graph, run_graph
from cry_pipeline.side_by_side import cores
from cry_pipeline.targets import Target

if TYPE_CHECKING:
    import onnxruntime


@dataclass(frozen=True)
class Parity:
    """How far the bundle is from the stored predictions: ``largest`` difference of a probability, and where."""

    recordings: int
    largest: float
    worst: str

    @property
    def ok(self) -> bool:
        """Whether every difference is within :data:`TOLERANCE`."""
        return self.recordings > 0 and self.largest <= TOLERANCE

    @property
    def sentence(self) -> str:
        """What was found; it names a recording only where that helps, as the sentence is kept for long."""
        where = "" if self.ok else f"; largest at {self.worst}"
        return (
            f"{self.recordings} recordings from their audio files: probabilities differ by at most {self.largest:.1e} "
            f"from the stored out-of-fold ones ({TOLERANCE:.0e} allowed{where})"
        )


def check_parity(
    bundle: Bundle,
    predictions: Mapping[Target, pd.DataFrame],
    audio: Callable[[str], Path | None],
    *,
    per_fold: int | None = None,
) -> Parity:
    """Compare each member of the bundle with its own fold's out-of-fold predictions.

    Args:
        bundle: read from its folder.
        predictions: of the runs that the bundle was made of, by target, as ``read_run`` returns them.
        audio: returns where the file of a recording id is, or None where it is no more; such are left out.
        per_fold: how many recordings of each fold, evenly spaced in the order of their ids; None for all of them.
    """
    asked: list[tuple[str, Future[float]]] = []
    # Decoders are processes of their own and graphs let go of the interpreter: threads keep all cores at work.
    with ThreadPoolExecutor(cores()) as threads:
        for target, out_of_fold in predictions.items():
            part = bundle.targets[target]
            graph = open_graph(part.model)
            stored = of_repeat(out_of_fold, 0)
            expected = calibrated(stored, part.labels.classes, part.rule.recalibrations)
            for member, fold in enumerate(sorted(set(stored["fold"]))):
                rows = np.flatnonzero(stored["fold"].to_numpy() == fold)
                for row in rows[_spread(len(rows), per_fold)]:
                    recording = str(stored["recording_id"].iloc[row])
                    file = audio(recording)
                    if file is not None:
                        ask = partial(_difference, graph, file, part.features.sample_rate_hz, member, expected[row])
                        asked.append((f"{target} {recording[:16]}", threads.submit(ask)))
    differences = {name: difference.result() for name, difference in asked}
    worst = max(differences, key=differences.__getitem__, default="")
    return Parity(len(differences), differences.get(worst, float("inf")), worst)


def _difference(
    graph: "onnxruntime.InferenceSession", file: Path, rate_hz: int, member: int, expected: np.ndarray
) -> float:
    probabilities = run_graph(graph, load_samples(file, rate_hz))[1][member]
    return float(np.abs(probabilities - expected).max())


def _spread(count: int, wanted: int | None) -> np.ndarray:
    if wanted is None or wanted >= count:
        return np.arange(count)
    return np.linspace(0, count - 1, wanted).round().astype(int)
