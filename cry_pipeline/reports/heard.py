"""What people heard, as the page of re-listening shows it.

Belongs here: the form in which orchestration hands it in, because reports do not know donations. Does not: computing it
(donations/relistening.py), and the page (relistening.py).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cry_pipeline.evaluation.findings import Interval


@dataclass(frozen=True)
class Finding:
    """A number: ``measure`` (auc, kappa, share) of ``what``, with its interval; None where too little was heard."""

    measure: str
    what: str
    at: Interval | None
    recordings: int
    donors: int


@dataclass(frozen=True)
class Other:
    """A recording that the listeners took for something else than its label says."""

    recording_id: str
    label: str
    heard: str
    why: str
    score: float


@dataclass(frozen=True)
class Pair:
    """Two people, the recordings that both judged, of how many they say the same, and κ."""

    first: str
    second: str
    recordings: int
    same: int
    kappa: Interval | None


@dataclass(frozen=True)
class Relistened:
    """What came of one sample.

    ``counts`` are recordings by (why it was drawn, label, verdict that counts); ``heard`` of ``drawn`` have one.
    """

    name: str
    day: str
    experiment: str
    of: int
    drawn: int
    heard: int
    people: Sequence[str] = ()
    counts: Sequence[tuple[str, str, str, int]] = ()
    findings: Sequence[Finding] = ()
    others: Sequence[Other] = ()


@dataclass(frozen=True)
class Heard:
    """All samples, the latest first; how far people agree on all that they judged; and why there is no more."""

    samples: Sequence[Relistened] = ()
    pairs: Sequence[Pair] = ()
    synthetic: bool = False
    faults: Sequence[str] = ()


@dataclass(frozen=True)
class Listened:
    """What was heard: the digest of all that it is made of, and a look at it, which takes seconds."""

    digest: str
    look: Callable[[], Heard]
