"""What happened to donations since deployment, as the page of live evidence shows it.

Belongs here: the form in which orchestration hands it in, because reports do not know donations. Does not: computing it
(donations/live.py, drift.py), and the page (live_page.py).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from cry_pipeline.reports.heard import Pair


@dataclass(frozen=True)
class Estimate:
    """A number for all donations, with its 95 % interval, from ``heard`` recordings of so many ``donors``.

    None where it, or the interval, cannot be told; ``why`` says so.
    """

    value: float | None
    low: float | None
    high: float | None
    heard: int
    donors: int
    why: str = ""

    def without(self, why: str) -> "Estimate":
        """Return the same without a value."""
        return replace(self, value=None, low=None, high=None, why=why)


@dataclass(frozen=True)
class Week:
    """Donations that arrived in the week from Monday ``start`` (UTC): what triage did, and what people heard of them.

    ``asked`` are those left to a person or drawn for audit, ``heard`` those of them that somebody has judged.
    """

    start: str
    donations: int
    donors: int
    taken: int
    set_aside: int
    person: int
    asked: int
    heard: int


@dataclass(frozen=True)
class Reign:
    """A champion that decided on donations: since when, by which thresholds, on how many, and what it is worth there.

    ``expected`` is its area under the curve on out-of-fold predictions; ``auc`` that on donations.
    """

    digest: str
    since: str
    event: str
    lower: float | None
    upper: float | None
    donations: int
    decided: int
    auc: Estimate
    expected: float | None


@dataclass(frozen=True)
class Drifted:
    """One thing that was compared between a batch of donations and what the champion was trained on.

    ``distance`` is 0 (alike) to 1, ``p_adjusted`` by Holm over all that is compared; ``was`` and ``now`` say what it is
    like in words.
    """

    name: str
    distance: float
    p_value: float
    p_adjusted: float
    drifted: bool
    was: str
    now: str


@dataclass(frozen=True)
class Batch:
    """So many donations, in the order of their arrival, and what of them is unlike what the champion was trained on.

    ``scores`` and ``reference`` are scores of both, each at 0, 1, … 100 %, for a plot; empty where there are none.
    """

    bundle: str
    first: str
    last: str
    donations: int
    donors: int
    compared: Sequence[Drifted]
    scores: Sequence[float] = ()
    reference: Sequence[float] = ()

    @property
    def drifted(self) -> list[str]:
        """What differs more than chance explains."""
        return [one.name for one in self.compared if one.drifted]


@dataclass(frozen=True)
class Live:
    """What happened since deployment: donations that a champion decided on.

    ``work_saved`` is the share of recordings that nobody had to hear, ``learned`` how many are left out because the
    champion that decided on them had learned from them.
    """

    donations: int
    decisions: Mapping[str, int]
    asked: int
    heard: int
    unusable: int
    learned: int
    work_saved: float | None
    taken_right: Estimate
    set_aside_right: Estimate
    auc: Estimate
    recall: Estimate
    weeks: Sequence[Week] = ()
    people: Sequence[Pair] = ()
    champions: Sequence[Reign] = ()
    batches: Sequence[Batch] = ()
    synthetic: bool = False


@dataclass(frozen=True)
class Happened:
    """What happened: the digest of all that it is made of, and a look at it, which takes seconds."""

    digest: str
    look: Callable[[], Live]
