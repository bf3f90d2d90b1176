"""What the champion says of sounds that are no cries, as the page of confusers shows it.

Belongs here: the form in which orchestration hands it in, because reports do not know inference. Does not: asking the
champion (inference/confusers.py), and the page (confusers_page.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from cry_pipeline.corpus.synthetic.confusers import CONTROL, KINDS
from cry_pipeline.evaluation.findings import Interval


@dataclass(frozen=True)
class AskedKind:
    """A kind of sound: the probability of a cry for each of its sounds, and the share that is called one."""

    name: str
    probabilities: Sequence[float]
    share: Interval

    @property
    def control(self) -> bool:
        """Whether these are made-up cries."""
        return self.name == CONTROL

    @property
    def words(self) -> str:
        """What the page calls it."""
        return KINDS[self.name].words if self.name in KINDS else self.name.replace("_", " ")


@dataclass(frozen=True)
class Confused:
    """What the champion was asked, and said; with its own answer to how well it tells cries, for beside.

    ``usual`` is the share of the corpus' own recordings without a cry that it calls one (out of fold), and ``known``
    the kinds that it clearly calls so more often. ``fault`` says why it cannot be read, or why there is nothing.
    """

    bundle: str = ""
    sentence: str = ""
    verdict: str = ""
    threshold: float = 0.5
    usual: float = 1.0
    kinds: Sequence[AskedKind] = ()
    known: Sequence[str] = ()
    synthetic: bool = False
    fault: str | None = None
