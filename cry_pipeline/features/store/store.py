"""The feature store: never silently wrong, with no log and no lock.

Belongs here: how rows become a part that is visible, and how they are found and read. Does not: a part's own files
(parts.py), work on a whole store (compaction.py, garbage.py, checking.py, coverage.py), and how features are computed
(extraction.py).

A part is written under ``tmp/``, read back, brought to the disk, and made visible by one rename into ``parts/``.
Nothing in ``parts/`` ever changes. Two writers can at worst compute the same rows twice; of equal rows every reader
takes those of the part with the smallest name. A compaction writes a part that supersedes others: readers who come
later do not look at these, a snapshot still does, and garbage collection removes them when nobody needs them.

On an object store there is no rename: a part is there from the moment at which its ``part.json`` is, which is put last.

A row is named by a recording *and* the samples that it was computed from. Those who read name recordings only, so the
store they read is bound to a manifest (:meth:`FeatureStore.of`), which states each recording's samples: rows of other
samples are never given, and count as missing.

``<uri>/<feature-set digest>/``: ``feature_set.json`` (what the digest is made of, for people), ``failures.json``,
``parts/<part>/``, in a folder ``tmp/``, and ``quarantine/`` with the parts that were set aside (checking.py).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any

from cry_pipeline.artefacts import NotAFileError
from cry_pipeline.catalog import FeatureSetSpec, digest
from cry_pipeline.features.kinds import feature_set_digest, kept_kinds, key_parts
from cry_pipeline.features.store.encoding import check_written, describe, encode
from cry_pipeline.features.store.failures import read_failures
from cry_pipeline.features.store.opening import open_storage
from cry_pipeline.features.store.parts import Part
from cry_pipeline.features.store.reading import gathered
from cry_pipeline.features.store.rows import FeatureRows, FeatureStoreError, RowKey, check_rows
from cry_pipeline.features.store.snapshots import PartIndex, Snapshot
from cry_pipeline.features.store.storage import INDEX, Storage, sizes_of_parts

__all__ = ["FeatureRows", "FeatureStore", "FeatureStoreError", "Snapshot", "StoreInfo"]

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


class FeatureStore:
    """The features of one feature set, in a place of their own under the store's root."""

    def __init__(
        self,
        storage: Storage,
        spec: FeatureSetSpec,
        snapshot: Snapshot | None = None,
        samples: Mapping[str, str] | None = None,
    ) -> None:
        self.storage = storage
        self.spec = spec
        self.digest = feature_set_digest(spec)
        self.kinds = tuple(kept_kinds(spec))
        self.index = PartIndex(storage, self.digest, None if snapshot is None else snapshot.parts)
        self._snapshot = snapshot
        self._samples = samples

    @classmethod
    def open(cls, uri: str | Path, spec: FeatureSetSpec) -> "FeatureStore":
        """Return the store of ``spec`` under ``uri``, of no manifest; nothing is made before something is written.

        Args:
            uri: a folder's path, or ``s3://bucket/prefix``.
            spec: the feature set.

        Raises:
            FeatureStoreError: features are not kept in such a place.
        """
        return cls(open_storage(uri).below(feature_set_digest(spec)), spec)

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process opens the store anew, at the same place; what was seen of it stays here."""
        return _opened, (self.storage.uri, self.spec, self._snapshot, self._samples)

    @property
    def uri(self) -> str:
        """Where the feature set lies."""
        return self.storage.uri

    def of(self, samples: Mapping[str, str]) -> "FeatureStore":
        """Return the store as a manifest's reader: its rows are those of each recording's ``samples_digest``.

        Args:
            samples: the digest by recording, see :func:`~cry_pipeline.features.store.rows.samples_of`.
        """
        bound = FeatureStore(self.storage, self.spec, self._snapshot, samples)
        bound.index = self.index
        return bound

    def keys(self, ids: Iterable[str]) -> list[RowKey]:
        """Return what names the rows of ``ids``, in their order; of a recording that the manifest lacks, no row at all.

        Raises:
            FeatureStoreError: the store is of no manifest.
        """
        if self._samples is None:
            raise FeatureStoreError(
                f"{self.uri}: it is not known which samples are meant; read the store of a manifest: FeatureStore.of()"
            )
        ids = list(ids)
        # Without a step of Python for each: of the rows of a large manifest most are looked for, and few are missing.
        return list(zip(ids, map(self._samples.get, ids, repeat("")), strict=True))

    def recording_ids(self) -> set[str]:
        """Return the recordings of the manifest whose features are here."""
        here = self.index.refresh()
        return {name for name, samples in self.keys(name for name, _ in here) if (name, samples) in here}

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Return those of ``ids`` whose features are not here, in their order."""
        here = self.index.refresh()
        return [key[0] for key in self.keys(ids) if key not in here]

    def failures(self) -> dict[str, str]:
        """Return which recordings of the manifest could not be featurized, and why."""
        failed, here = read_failures(self.storage), self.index.refresh()
        keys = self.keys(name for name, _ in failed)
        return {key[0]: failed[key] for key in keys if key in failed and key not in here}

    def data_version(self, ids: Iterable[str]) -> str:
        """Return the digest of the rows of ``ids``: the feature set, each recording, and its samples.

        Who wrote a row, and where, is not in it.
        """
        return digest(feature_set=self.digest, rows=sorted(set(self.keys(ids))))

    def snapshot(self) -> Snapshot:
        """Return which parts a reader takes rows from now; a part whose rows others hold too may not be among them."""
        return Snapshot(self.digest, tuple(sorted({part.name for part in self.index.refresh().values()})))

    def at(self, snapshot: Snapshot) -> "FeatureStore":
        """Return a store that reads exactly the parts of ``snapshot``, and into which nothing can be written.

        Raises:
            FeatureStoreError: the snapshot is of another feature set. A part that is gone raises when it is read.
        """
        if snapshot.feature_set != self.digest:
            raise FeatureStoreError(f"the snapshot is of the feature set {snapshot.feature_set}, not of {self.digest}")
        return FeatureStore(self.storage, self.spec, snapshot, self._samples)

    def info(self) -> StoreInfo:
        """Return how much there is."""
        recordings = len({recording for recording, _ in self.index.refresh()})
        visible, present = self.index.visible, self.index.present
        bytes_of = {name: sum(files.values()) for name, files in sizes_of_parts(self.storage).items()}
        bytes_of = {name: bytes_of.get(name, 0) for name in present}
        visible_bytes = sum(bytes_of[name] for name in visible)
        superseded, superseded_bytes = len(present) - len(visible), sum(bytes_of.values()) - visible_bytes
        return StoreInfo(self.digest, recordings, len(visible), visible_bytes, superseded, superseded_bytes)

    def write(self, rows: FeatureRows) -> str:
        """Keep ``rows`` as one new part and return its name; when this returns, they outlive a power failure.

        Raises:
            FeatureStoreError: the rows are not whole rows of this feature set, or what was written reads back
                otherwise. Nothing becomes visible then.
        """
        return self.commit(rows)

    def commit(
        self, rows: FeatureRows, supersedes: Sequence[str] = (), made_by: Sequence[Mapping[str, str]] = ()
    ) -> str:
        """Do what :meth:`write` does, for compaction.

        Args:
            rows: to keep.
            supersedes: parts that nobody has to look at any more once this one is visible.
            made_by: libraries that computed the rows, if not this process did.
        """
        self.require_writable()
        check_rows(rows, self.spec)
        self.mend_description()
        files = encode(rows, self.spec)
        content = describe(rows, files, self.spec, supersedes, made_by)
        part = Part.parsed(self.storage, "", content)
        self.storage.publish(
            part.name, files | {INDEX: content}, lambda path: check_written(part.at(path), rows, files)
        )
        return part.name

    def read(self, ids: Sequence[str], kinds: Sequence[str]) -> FeatureRows:
        """Return the arrays ``kinds`` of ``ids``, in their order, of the samples that the manifest states.

        Raises:
            FeatureStoreError: features of a recording are not here, a part is not as it was written, or the store is
                of no manifest.
        """
        return self.read_rows(self.keys(ids), kinds)

    def read_rows(self, keys: Sequence[RowKey], kinds: Sequence[str]) -> FeatureRows:
        """Return the arrays ``kinds`` of the rows ``keys``, in their order; raises as :meth:`read`."""
        unknown = [kind for kind in kinds if kind not in self.kinds]
        if unknown:
            raise FeatureStoreError(
                f"there is no array {', '.join(unknown)}; a feature set holds {', '.join(self.kinds)}"
            )
        while True:
            places = self.index.refresh()
            missing = [key for key in keys if key not in places]
            if missing:
                raise FeatureStoreError(
                    f"{self.uri}: {len(missing)} of {len(keys)} recordings have no features here, among them"
                    f" {missing[0][0]}; materialize the feature set first"
                )
            wanted = [(places[key], places[key].rows[key]) for key in keys]
            try:
                return gathered(keys, wanted, kinds, self.spec)
            except FeatureStoreError:
                # Superseded and removed while it was read: all arrays are read again, so that none is of another part.
                if all(part.here for part in {part for part, _ in wanted}):
                    raise

    def forget_parts(self) -> None:
        """Let the next look load every part's ``part.json`` again."""
        self.index = PartIndex(self.storage, self.digest)

    def mend_description(self) -> bool:
        """Write ``feature_set.json`` where it is not what it should be; return whether that was so."""
        about = {"feature_set": self.digest, **key_parts(self.spec)}
        content = (json.dumps(about, indent=2) + "\n").encode()
        with suppress(FileNotFoundError, NotAFileError):
            if self.storage.read(DESCRIPTION) == content:
                return False
        self.storage.replace(DESCRIPTION, content)
        return True

    def require_writable(self) -> None:
        """Raise FeatureStoreError where this is the store of a snapshot."""
        if self._snapshot is not None:
            raise FeatureStoreError(f"{self.uri}: a snapshot can only be read; open the store itself to change it")


def _opened(
    uri: str, spec: FeatureSetSpec, snapshot: Snapshot | None, samples: Mapping[str, str] | None
) -> FeatureStore:
    return FeatureStore(open_storage(uri), spec, snapshot, samples)


def described(uri: str | Path, feature_set: str) -> dict[str, Any] | None:
    """Return what the digest ``feature_set`` is made of, as its store tells; None where no store does any more.

    Args:
        uri: as for :meth:`FeatureStore.open`.
        feature_set: the digest of a feature set, which the catalog need not have.
    """
    try:
        about = json.loads(open_storage(uri).below(feature_set).read(DESCRIPTION))
        made_of = {name: value for name, value in about.items() if name != "feature_set"}
    except (FileNotFoundError, NotAFileError, ValueError, AttributeError):
        return None
    return made_of if digest(**made_of) == feature_set else None
