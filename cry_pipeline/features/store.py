"""The feature store: never silently wrong, with no log and no lock.

Belongs here: which parts there are, how one becomes visible, and which rows lie where. Does not: a part's own
files (parts.py) and how features are computed (extraction.py).

A part is written under ``tmp/``, read back, brought to the disk, and made visible by one rename into ``parts/``.
Nothing in ``parts/`` ever changes. Two writers can at worst compute the same rows twice; of equal rows every reader
takes those of the part with the smallest name. A compaction writes a part that supersedes others: readers who come
later do not look at these, a snapshot still does, and garbage collection removes them when nobody needs them.

On an object store there is no rename: a part is there from the moment at which its ``part.json`` is, which is put last.

``<uri>/<feature-set digest>/``: ``feature_set.json`` (parameters, for people), ``parts/<part>/``, in a folder ``tmp/``,
and ``quarantine/`` with the parts that :meth:`FeatureStore.verify` set aside.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec, digest
from cry_pipeline.features.compaction import TARGET_BYTES, CompactionReport, compact
from cry_pipeline.features.encoding import check_written, describe, encode
from cry_pipeline.features.garbage import Garbage, collect
from cry_pipeline.features.kinds import KINDS, REVISION, feature_set_digest, kinds_of, parameters
from cry_pipeline.features.parts import Part
from cry_pipeline.features.rows import FeatureRows, FeatureStoreError, check_rows
from cry_pipeline.features.snapshots import PartIndex, Snapshot
from cry_pipeline.features.storage import INDEX, READERS_S, Storage, open_storage

__all__ = ["FeatureRows", "FeatureStore", "FeatureStoreError", "Snapshot", "StoreInfo", "VerifyReport"]

LOG = logging.getLogger("cry_pipeline")
DESCRIPTION = "feature_set.json"


@dataclass(frozen=True)
class StoreInfo:
    """What there is of a feature set: its visible parts, with their bytes on the disk, and the superseded ones."""

    digest: str
    recordings: int
    parts: int
    bytes: int
    superseded_parts: int = 0
    superseded_bytes: int = 0


@dataclass(frozen=True)
class VerifyReport:
    """What :meth:`FeatureStore.verify` checked, and what was wrong, by part or file; bad parts are set aside."""

    parts: int
    bytes: int
    faults: dict[str, str] = field(default_factory=dict)


class FeatureStore:
    """The features of one feature set, in a place of their own under the store's root."""

    def __init__(self, storage: Storage, spec: FeatureSetSpec, snapshot: Snapshot | None = None) -> None:
        self.storage = storage
        self.spec = spec
        self.digest = feature_set_digest(spec)
        self.kinds = tuple(kinds_of(spec))
        self.index = PartIndex(storage, self.digest, None if snapshot is None else snapshot.parts)
        self._pinned = snapshot is not None

    @classmethod
    def open(cls, uri: str | Path, spec: FeatureSetSpec) -> "FeatureStore":
        """Return the store of ``spec`` under ``uri``; nothing is made before something is written.

        Args:
            uri: a folder's path, or ``s3://bucket/prefix``.
            spec: the feature set.

        Raises:
            FeatureStoreError: features are not kept in such a place.
        """
        return cls(open_storage(uri).below(feature_set_digest(spec)), spec)

    @property
    def uri(self) -> str:
        """Where the feature set lies."""
        return self.storage.uri

    def recording_ids(self) -> set[str]:
        """Return the recordings whose features are here."""
        return set(self.index.refresh())

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Return those of ``ids`` whose features are not here, in their order."""
        here = self.index.refresh()
        return [name for name in ids if name not in here]

    def data_version(self, ids: Iterable[str]) -> str:
        """Return the digest of the feature set and the sorted ``ids``: who wrote a row, and where, is not in it."""
        return digest(feature_set=self.digest, recordings=sorted(set(ids)))

    def snapshot(self) -> Snapshot:
        """Return which parts a reader sees now."""
        self.index.refresh()
        return Snapshot(self.digest, tuple(self.index.visible))

    def at(self, snapshot: Snapshot) -> "FeatureStore":
        """Return a store that reads exactly the parts of ``snapshot``, and into which nothing can be written.

        Raises:
            FeatureStoreError: the snapshot is of another feature set. A part that is gone raises when it is read.
        """
        if snapshot.feature_set != self.digest:
            raise FeatureStoreError(f"the snapshot is of the feature set {snapshot.feature_set}, not of {self.digest}")
        return FeatureStore(self.storage, self.spec, snapshot)

    def info(self) -> StoreInfo:
        """Return how much there is."""
        recordings = len(self.index.refresh())
        visible, present = self.index.visible, self.index.present
        bytes_of = {name: part.bytes_stored for name, part in present.items()}
        own = sum(bytes_of[name] for name in visible)
        superseded = len(present) - len(visible)
        return StoreInfo(self.digest, recordings, len(visible), own, superseded, sum(bytes_of.values()) - own)

    def write(self, rows: FeatureRows) -> str:
        """Keep ``rows`` as one new part and return its name; when this returns, they outlive a power failure.

        Raises:
            FeatureStoreError: the rows are not whole rows of this feature set, or what was written reads back
                otherwise. Nothing becomes visible then.
        """
        return self.commit(rows)

    def commit(self, rows: FeatureRows, supersedes: Sequence[str] = ()) -> str:
        """Do what :meth:`write` does; with ``supersedes``, rows of which hold those of these parts, as compaction."""
        self._refuse_snapshot()
        check_rows(rows, self.spec)
        if not self._is_described():
            self._describe()
        files = encode(rows, self.spec)
        content = describe(rows, files, self.spec, supersedes)
        part = Part.parsed(self.storage, "", content)
        self.storage.publish(
            part.name, files | {INDEX: content}, lambda path: check_written(part.at(path), rows, files)
        )
        return part.name

    def compact(self, target_bytes: int = TARGET_BYTES) -> CompactionReport:
        """Put small parts together into parts of at most ``target_bytes``; those stay until garbage is collected.

        Raises:
            FeatureStoreError: a part is not as it was written, or what was written reads back otherwise.
        """
        self._refuse_snapshot()
        return compact(self, target_bytes)

    def collect_garbage(
        self, keep: Iterable[str] = (), *, readers_s: float = READERS_S, dry_run: bool = True
    ) -> Garbage:
        """Return what nobody needs any more, and remove it where ``dry_run`` is False.

        Args:
            keep: names of parts that recorded snapshots need.
            readers_s: seconds for which a reader may go on with what it saw when it began.
            dry_run: only tell.

        Raises:
            FeatureStoreError: a part is not as it was written.
        """
        self._refuse_snapshot()
        return collect(self, set(keep), readers_s, dry_run=dry_run)

    def read(self, ids: Sequence[str], kinds: Sequence[str]) -> FeatureRows:
        """Return the arrays ``kinds`` of ``ids``, in their order.

        Raises:
            FeatureStoreError: features of a recording are not here, or a part is not as it was written.
        """
        unknown = [kind for kind in kinds if kind not in self.kinds]
        if unknown:
            held = ", ".join(self.kinds)
            raise FeatureStoreError(f"there is no array {', '.join(unknown)}; a feature set holds {held}")
        while True:
            places = self.index.refresh()
            missing = [name for name in ids if name not in places]
            if missing:
                raise FeatureStoreError(
                    f"{self.uri}: {len(missing)} of {len(ids)} recordings have no features here, among them"
                    f" {missing[0]}; materialize the feature set first"
                )
            wanted = [(places[name], places[name].rows[name]) for name in ids]
            try:
                return self._gather_all(ids, wanted, kinds)
            except FeatureStoreError:
                # Superseded and removed while it was read: all arrays are read again, so that none is of another part.
                if all(part.here for part in {part for part, _ in wanted}):
                    raise

    def verify(self) -> VerifyReport:
        """Check every byte of every part; move bad parts to ``quarantine/``, so that their rows are missing again.

        Raises:
            OSError: a file cannot be read here and now (no permission, too few descriptors): its part stays.
        """
        self._refuse_snapshot()
        faults: dict[str, str] = {}
        names = self.index.names()
        checked = 0
        for name in names:
            try:
                part = self.index.load(name)
                wrong = part.faults()
                checked += part.bytes_stored
            except FeatureStoreError as error:
                wrong = [str(error)]
            if wrong and self.storage.set_aside(name):
                faults[name] = "; ".join(wrong)
                LOG.warning("feature store %s: part %s is set aside: %s", self.uri, name, faults[name])
        if names and not self._is_described():
            faults[DESCRIPTION] = f"{DESCRIPTION} was not what was written, and is written again"
            self._describe()
        return VerifyReport(len(names), checked, faults)

    def _refuse_snapshot(self) -> None:
        if self._pinned:
            raise FeatureStoreError(f"{self.uri}: a snapshot can only be read; open the store itself to change it")

    def _gather_all(self, ids: Sequence[str], places: list[tuple[Part, int]], kinds: Sequence[str]) -> FeatureRows:
        wanted: dict[Part, list[tuple[int, int]]] = defaultdict(list)
        offsets = np.zeros(len(ids) + 1, np.int64)
        for position, (part, row) in enumerate(places):
            wanted[part].append((row, position))
            offsets[position + 1] = offsets[position] + part.offsets[row + 1] - part.offsets[row]
        return FeatureRows(tuple(ids), offsets, {kind: self._gather(kind, wanted, offsets) for kind in kinds})

    def _gather(self, kind: str, wanted: dict[Part, list[tuple[int, int]]], offsets: np.ndarray) -> np.ndarray:
        """Return the array ``kind`` of all rows ``wanted``: by part, the row in it and the position asked for."""
        per_frame = KINDS[kind].rows == "frame"
        targets = offsets if per_frame else np.arange(len(offsets))
        gathered = np.empty((targets[-1], KINDS[kind].width(self.spec)), KINDS[kind].dtype)
        for part, pairs in wanted.items():
            sources = part.offsets if per_frame else np.arange(len(part.offsets))
            runs = _runs(sorted({row for row, _ in pairs}))
            values = part.read(kind, [(sources[first], sources[last + 1]) for first, last in runs])
            own = {
                row: run[sources[row] - sources[first] : sources[row + 1] - sources[first]]
                for (first, last), run in zip(runs, values, strict=True)
                for row in range(first, last + 1)
            }
            for row, position in pairs:
                gathered[targets[position] : targets[position + 1]] = own[row]
        return gathered

    def _description(self) -> bytes:
        about = {"feature_set": self.digest, "revision": REVISION, "spec": parameters(self.spec)}
        return (json.dumps(about, indent=2) + "\n").encode()

    def _is_described(self) -> bool:
        try:
            return self.storage.read(DESCRIPTION) == self._description()
        except FileNotFoundError:
            return False

    def _describe(self) -> None:
        self.storage.replace(DESCRIPTION, self._description())


def _runs(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of neighbours in the sorted ``rows``."""
    edges = np.flatnonzero(np.diff(rows) != 1)
    return list(zip((rows[edge] for edge in [0, *(edges + 1)]), (rows[edge] for edge in [*edges, -1]), strict=True))
