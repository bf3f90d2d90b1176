"""How much of a manifest a feature set covers.

Belongs here: counting it, and whether that is enough. Does not: the record of failures (failures.py).
"""

from collections.abc import Collection
from dataclasses import dataclass

from cry_pipeline.features.store.store import FeatureStore

MOST_FAILED = 0.5
"""Where a larger share of a manifest failed, something is wrong with the feature set or the files, not with a few."""


@dataclass(frozen=True)
class Coverage:
    """How much of a manifest a feature set covers; :attr:`ok` says whether it can be worked with."""

    recordings: int
    failed: dict[str, str]
    """Recordings that cannot be featurized, and why; whoever reads the others leaves these out, and says so."""
    missing: list[str]
    """Recordings that nobody has tried yet, or whose features were lost."""

    @property
    def ok(self) -> bool:
        """Whether each recording has features or a reason, and most have features."""
        return not self.missing and len(self.failed) <= MOST_FAILED * self.recordings

    @property
    def sentence(self) -> str:
        """What to say of it; empty where all recordings have features."""
        said = []
        if self.missing:
            said.append(
                f"{len(self.missing)} of {self.recordings} recordings have no features yet, among them"
                f" {self.missing[0]}: materialize the feature set"
            )
        if self.failed:
            first = next(iter(self.failed))
            said.append(
                f"{len(self.failed)} of {self.recordings} recordings cannot be featurized and are left out of what is"
                f" made of this feature set, among them {first}: {self.failed[first]}"
            )
        return "; ".join(said)


def coverage_of(store: FeatureStore, ids: Collection[str]) -> Coverage:
    """Return how much of ``ids`` is in ``store``, which is of a manifest."""
    lacking = store.missing(ids)
    reasons = store.failures() if lacking else {}
    failed = {name: reasons[name] for name in lacking if name in reasons}
    return Coverage(len(ids), failed, [name for name in lacking if name not in failed])
