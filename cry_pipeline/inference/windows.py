"""Long recordings: the windows that are asked about, and the timeline that their answers make.

Belongs here: which windows there are, and one probability for each second. Does not: asking (predict.py), nor what a
bundle's graph holds, which is the same for a window as for a whole recording.

The detector was learned on recordings of 7 s. Of one that is much longer it hears the average: a cry of 7 s in a minute
of quiet is drowned. So anything longer than :data:`LONGEST_WHOLE_S` is asked about in windows of what it knows, one
for each second, and a second is as probable a cry as the mean of all windows that hold it.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

WINDOW_S, STEP_S, LONGEST_WHOLE_S = 7, 1, 10


@dataclass(frozen=True)
class Segment:
    """A stretch of a recording, and whether it holds a cry.

    Args:
        start_s: where it begins, in seconds.
        end_s: where it ends; the next one begins there.
        cry_probability: that it holds one.
        is_cry: whether it is taken for one: the evidence allows an answer, and the probability reaches the threshold.
    """

    start_s: float
    end_s: float
    cry_probability: float
    is_cry: bool


def windows(duration_s: float) -> list[tuple[float, float | None]]:
    """Return start and end, in seconds, of each window of a recording; the end of the last is None: all that is left.

    Up to :data:`LONGEST_WHOLE_S` that is one, the whole recording. Otherwise one begins each :data:`STEP_S` and lasts
    :data:`WINDOW_S`, but the last, which is longer by less than a step.
    """
    if duration_s <= LONGEST_WHOLE_S:
        return [(0.0, None)]
    starts = [float(start) for start in range(0, int(duration_s - WINDOW_S) + 1, STEP_S)]
    return [*((start, start + WINDOW_S) for start in starts[:-1]), (starts[-1], None)]


def timeline(probabilities: np.ndarray, duration_s: float) -> list[tuple[float, float, float]]:
    """Return start, end (both in seconds) and probability of each stretch between two windows' bounds.

    Args:
        probabilities: of a cry, of each of :func:`windows`, ``[windows]``.
        duration_s: of the recording.
    """
    if len(probabilities) == 1:
        return [(0.0, duration_s, float(probabilities[0]))]
    bounds = [*range(0, (len(probabilities) + WINDOW_S // STEP_S - 1) * STEP_S, STEP_S), duration_s]
    made = []
    for start, end in pairwise(bounds):
        number = start // STEP_S
        holding = probabilities[max(0, number - WINDOW_S // STEP_S + 1) : number + 1]
        made.append((float(start), float(end), float(holding.mean())))
    return made


def stretches(segments: list[Segment]) -> list[tuple[float, float]]:
    """Return start and end of each uninterrupted cry, in seconds."""
    found: list[tuple[float, float]] = []
    for segment in segments:
        if segment.is_cry:
            joins = bool(found) and found[-1][1] == segment.start_s
            start = found.pop()[0] if joins else segment.start_s
            found.append((start, segment.end_s))
    return found
