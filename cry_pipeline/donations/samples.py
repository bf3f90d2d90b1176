"""Blind samples of the corpus: what is heard again to see how far its curators' labels can be trusted.

Belongs here: which recordings are drawn, how, and the file that remembers it. Does not: what came of listening
(relistening.py), and who is asked for what when (review.py).

A sample has two halves. ``contradicted`` are the recordings whose label the model's out-of-fold predictions contradict
most: there wrong labels are looked for. ``random`` are as many of the others, drawn with equal chances. Each recording
has a ``weight``, one over the chance that it had: by it the sample speaks for all recordings, and the search for wrong
labels does not make the labels look worse, or the model better, than they are.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from cry_pipeline.artefacts import DamagedFileError, read_json, write_json
from cry_pipeline.corpus.judgements import now
from cry_pipeline.evaluation.metrics import Floats

Why = Literal["contradicted", "random"]
FOLDER = "samples"
"""In the folder of judgements: without it nobody could say what they were asked for."""
NAME = re.compile(r"[a-z0-9_-]{1,80}")
WAY_OUT = "put a copy of the file back, or remove it: its judgements cannot be weighed then"


class SampleError(ValueError):
    """No sample can be drawn as asked; the message says why."""


class Drawn(BaseModel):
    """A recording of a sample: what the curators said, why it was drawn, and how many recordings it stands for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recording_id: str = Field(pattern=r"^[0-9a-f]{64}$")
    donor: str
    label: Literal["cry", "not_cry"]
    score: float = Field(ge=0, le=1, description="out-of-fold probability of a cry, when it was drawn")
    why: Why
    weight: float = Field(ge=1)


class Sample(BaseModel):
    """Recordings drawn from one cohort by one run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=rf"^{NAME.pattern}$")
    at: AwareDatetime
    experiment: str
    run: str
    seed: int
    recordings: int = Field(description="that it was drawn from")
    drawn: tuple[Drawn, ...]


def draw(labels: Sequence[str], scores: Floats, each: int, seed: int) -> list[tuple[int, Why, float]]:
    """Return index, why and weight of ``each`` contradicted recordings and as many random ones among the others.

    Args:
        labels: the curators' choice, ``cry`` or ``not_cry`` [recordings].
        scores: out-of-fold probability of a cry [recordings].
        each: recordings of each half.
        seed: of the draw.

    Raises:
        SampleError: there are not that many.
    """
    count = len(labels)
    if each < 1 or 2 * each > count:
        raise SampleError(f"a sample of {each} and {each} cannot be drawn from {count} recordings: ask for fewer")
    contradiction = np.where(np.asarray(labels) == "cry", 1 - scores, scores)
    order = np.argsort(-contradiction, kind="stable")
    others = np.random.default_rng(seed).permutation(order[each:])[:each]
    weight = (count - each) / each
    contradicted: list[tuple[int, Why, float]] = [(int(at), "contradicted", 1.0) for at in order[:each]]
    return [*contradicted, *((int(at), "random", weight) for at in others)]


def write_sample(judgements: Path, sample: Sample) -> Path:
    """Write ``sample`` below the folder of judgements; a name is given once.

    Raises:
        SampleError: there is one of this name.
    """
    path = judgements / FOLDER / f"{sample.name}.json"
    if path.exists():
        raise SampleError(f"there is a sample {sample.name!r} already: give another --name")
    write_json(path, sample.model_dump(mode="json"))
    return path


def read_samples(judgements: Path) -> dict[str, Sample]:
    """Return all samples by name, the earliest first.

    Raises:
        DamagedFileError: a file is not what was written.
    """
    samples = []
    for path in sorted((judgements / FOLDER).glob("*.json")):
        try:
            samples.append(Sample.model_validate(read_json(path, WAY_OUT)))
        except ValidationError as error:
            raise DamagedFileError(f"{path} is no sample ({error.error_count()} faults): {WAY_OUT}") from error
    return {sample.name: sample for sample in sorted(samples, key=lambda sample: (sample.at, sample.name))}


def next_name(judgements: Path) -> str:
    """Return a name that no sample has: the day, and a number from the second on."""
    day, taken = f"{now():%Y-%m-%d}", read_samples(judgements)
    names = (day if number == 1 else f"{day}-{number}" for number in range(1, len(taken) + 2))
    return next(name for name in names if name not in taken)
