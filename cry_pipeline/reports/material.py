"""What pages show besides evidence and features: tables of recordings, the feature store, the champion, earlier runs.

Belongs here: the form in which whoever makes a page hands them in (orchestration does), because reports know neither
the folders of an installation nor the packages after them. Does not: what a page makes of them (its module).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cry_pipeline.digests import table_digest
from cry_pipeline.targets import Target
from cry_pipeline.training.calibration import Recalibration

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.evaluation.kept_runs import KeptRun


@dataclass(frozen=True)
class Tables:
    """The manifest, the quarantine (``corpus.schemas``), and how the corpus came about (``resolution.ResolvedCorpus``).

    Every file of the inventory is a row of one of the two tables.
    """

    recordings: "pd.DataFrame"
    quarantine: "pd.DataFrame"
    how: str

    @property
    def synthetic(self) -> bool:
        """Whether any recording was generated."""
        return bool((self.recordings["source"] == "synthetic").any())

    @property
    def digests(self) -> list[str]:
        """The digests of both tables."""
        return [table_digest(self.recordings), table_digest(self.quarantine)]


@dataclass(frozen=True)
class StoredSet:
    """A feature set of the catalog, as it is stored.

    ``recordings`` of the manifest have their features, ``failed`` cannot have them (why, by the file's name), and
    ``missing`` many have not been tried. ``runs`` on disk read it, those of earlier parameters and folds too.
    """

    name: str
    digest: str
    recordings: int
    missing: int
    failed: Mapping[str, str]
    parts: int
    bytes: int
    superseded_parts: int
    superseded_bytes: int
    runs: int


@dataclass(frozen=True)
class Unlisted:
    """A feature set that the catalog does not name any more: its digest, and what it still takes."""

    digest: str
    parts: int
    bytes: int
    runs: int


@dataclass(frozen=True)
class Stored:
    """The feature store; ``faults`` are sentences on what of it, or of the runs that use it, cannot be read."""

    sets: Sequence[StoredSet]
    unlisted: Sequence[Unlisted] = ()
    faults: Sequence[str] = ()
    synthetic: bool = False


@dataclass(frozen=True)
class Switch:
    """An entry of the champion's history: ``digest`` came into use after ``previous``; ``why`` is what it rested on."""

    at: str
    event: str
    digest: str
    previous: str | None
    runs: Mapping[Target, Mapping[str, str]]
    why: Sequence[str]


@dataclass(frozen=True)
class Challenger:
    """A challenger that was refused, and the refusal stands: ``why`` is what spoke against ``candidate``."""

    at: str
    candidate: str
    runs: Mapping[Target, Mapping[str, str]]
    why: Sequence[str]


@dataclass(frozen=True)
class Exported:
    """One question's part of the champion: its classes, when it answers, and what its evidence supports."""

    target: Target
    classes: Sequence[str]
    sample_rate_hz: int
    min_duration_s: float
    threshold: float
    at_threshold: Mapping[str, float]
    recalibrations: Sequence[Recalibration]
    verdict: str
    sentence: str
    answers: bool


@dataclass(frozen=True)
class Champion:
    """The champion: its history, oldest first, the parts of the bundle in use, and the bundle's card, Markdown.

    ``fault`` says why the bundle, or the history, cannot be read; what depends on it is empty then. ``refused`` is the
    challenger that would be in its place, had it not been refused.
    """

    history: Sequence[Switch] = ()
    parts: Sequence[Exported] = ()
    card: str = ""
    bytes: int = 0
    synthetic: bool = False
    fault: str | None = None
    refused: Challenger | None = None


@dataclass(frozen=True)
class Donations:
    """What became of each donation: its triage, when it arrived, what counts of what people said, its features.

    ``triage`` is a table of ``donations.triage``, ``judged`` of ``corpus.judgements.COUNTING``, ``arrived`` instants by
    recording_id, and ``featured`` the recordings that each feature set holds.
    """

    triage: "pd.DataFrame"
    judged: "pd.DataFrame"
    arrived: "pd.Series[pd.Timestamp]"
    featured: Mapping[str, Collection[str]]

    @property
    def digests(self) -> dict[str, Any]:
        """What all of it is, as JSON types."""
        arrived = self.arrived.sort_index()
        return {
            "triage": table_digest(self.triage),
            "judged": table_digest(self.judged),
            "arrived": [(str(recording), at.isoformat()) for recording, at in arrived.items()],
            "featured": {name: sorted(recordings) for name, recordings in self.featured.items()},
        }


@dataclass(frozen=True)
class Kept:
    """Runs of now and of before that can be compared, and what is still known of their feature sets, by digest."""

    runs: "Sequence[KeptRun]" = ()
    parameters: Mapping[str, Mapping[str, Any] | None] = field(default_factory=dict)
