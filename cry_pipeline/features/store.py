"""The feature store: never silently wrong, with no log and no lock.

Belongs here: which parts there are, how one becomes visible, and which rows lie where. Does not: a part's own
files (parts.py) and how features are computed (extraction.py).

A part is written under ``tmp/``, read back, brought to the disk, and made visible by one rename into ``parts/``.
Nothing in ``parts/`` ever changes. Two writers can at worst compute the same rows twice; of equal rows every reader
takes those of the part with the smallest name.

``<uri>/<feature-set digest>/``: ``feature_set.json`` (parameters, for people), ``parts/<part>/``, ``tmp/``, and
``quarantine/`` with the parts that :meth:`FeatureStore.verify` set aside.
"""

import json
import logging
import shutil
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cry_pipeline.catalog import FeatureSetSpec, digest
from cry_pipeline.features.files import files_below, make_folder, move, sync_tree, write_file
from cry_pipeline.features.kinds import KINDS, REVISION, feature_set_digest, parameters
from cry_pipeline.features.parts import Part, is_part_name, write_part
from cry_pipeline.features.rows import FeatureRows, FeatureStoreError, check_rows

__all__ = ["FeatureRows", "FeatureStore", "FeatureStoreError", "Snapshot", "StoreInfo", "VerifyReport"]

LOG = logging.getLogger("cry_pipeline")
DESCRIPTION = "feature_set.json"
STALE_AFTER_S = 24 * 3600
"""Age from which what a writer left in ``tmp/`` is taken to be of a writer that died."""


@dataclass(frozen=True)
class Snapshot:
    """The parts that a reader saw."""

    feature_set: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class StoreInfo:
    """What there is of a feature set; ``bytes`` are those of its parts on the disk."""

    digest: str
    recordings: int
    parts: int
    bytes: int


@dataclass(frozen=True)
class VerifyReport:
    """What :meth:`FeatureStore.verify` checked, and what was wrong, by part or file; bad parts are set aside."""

    parts: int
    bytes: int
    faults: dict[str, str] = field(default_factory=dict)


class FeatureStore:
    """The features of one feature set, in a folder of their own under the store's root."""

    def __init__(self, root: Path, spec: FeatureSetSpec) -> None:
        self.root = root
        self.spec = spec
        self.digest = feature_set_digest(spec)
        self.kinds = tuple(KINDS)
        self._parts: dict[str, Part] = {}
        self._places: dict[str, tuple[Part, int]] = {}

    @classmethod
    def open(cls, uri: str | Path, spec: FeatureSetSpec) -> "FeatureStore":
        """Return the store of ``spec`` under ``uri``, a local folder; nothing is made before something is written.

        Raises:
            FeatureStoreError: ``uri`` is no local path.
        """
        if "://" in str(uri):
            raise FeatureStoreError(f"{uri}: features are kept in a local folder; give its path")
        return cls(Path(uri) / feature_set_digest(spec), spec)

    def recording_ids(self) -> set[str]:
        """Return the recordings whose features are here."""
        return set(self._index())

    def missing(self, ids: Iterable[str]) -> list[str]:
        """Return those of ``ids`` whose features are not here, in their order."""
        here = self._index()
        return [name for name in ids if name not in here]

    def data_version(self, ids: Iterable[str]) -> str:
        """Return the digest of the feature set and the sorted ``ids``: who wrote a row, and where, is not in it."""
        return digest(feature_set=self.digest, recordings=sorted(set(ids)))

    def snapshot(self) -> Snapshot:
        """Return which parts there are now."""
        self._index()
        return Snapshot(self.digest, tuple(self._parts))

    def info(self) -> StoreInfo:
        """Return how much there is."""
        recordings = len(self._index())
        return StoreInfo(self.digest, recordings, len(self._parts), sum(map(self._bytes, self._parts)))

    def write(self, rows: FeatureRows) -> str:
        """Keep ``rows`` as one new part and return its name; when this returns, they outlive a power failure.

        Raises:
            FeatureStoreError: the rows are not whole rows of this feature set, or what was written reads back
                otherwise. Nothing becomes visible then.
        """
        check_rows(rows, self.spec)
        self._prepare()
        staging = self.root / "tmp" / uuid.uuid4().hex
        try:
            part = write_part(staging, rows, self.spec)
            sync_tree(staging)
            move(staging, self.root / "parts" / part.name)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)  # what stays is harmless, and is removed when stale
            raise
        return part.name

    def read(self, ids: Sequence[str], kinds: Sequence[str]) -> FeatureRows:
        """Return the arrays ``kinds`` of ``ids``, in their order.

        Raises:
            FeatureStoreError: features of a recording are not here, or a part is not as it was written.
        """
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise FeatureStoreError(f"there is no array {', '.join(unknown)}; a feature set holds {', '.join(KINDS)}")
        places = self._index()
        missing = self.missing(ids)
        if missing:
            raise FeatureStoreError(
                f"{self.root}: {len(missing)} of {len(ids)} recordings have no features here, among them {missing[0]};"
                " materialize the feature set first"
            )
        wanted: dict[Part, list[tuple[int, int]]] = defaultdict(list)
        offsets = np.zeros(len(ids) + 1, np.int64)
        for position, name in enumerate(ids):
            part, row = places[name]
            wanted[part].append((row, position))
            offsets[position + 1] = offsets[position] + part.offsets[row + 1] - part.offsets[row]
        return FeatureRows(tuple(ids), offsets, {kind: self._gather(kind, wanted, offsets) for kind in kinds})

    def verify(self) -> VerifyReport:
        """Check every byte of every part; move bad parts to ``quarantine/``, so that their rows are missing again."""
        faults: dict[str, str] = {}
        names = self._part_names()
        size = 0
        for name in names:
            folder = self.root / "parts" / name
            size += self._bytes(name)
            try:
                wrong = Part.load(folder, name, self.digest).faults()
            except FeatureStoreError as error:
                wrong = [str(error)]
            if wrong:
                faults[name] = "; ".join(wrong)
                LOG.warning("feature store %s: part %s is set aside: %s", self.root, name, faults[name])
                make_folder(self.root / "quarantine")
                move(folder, self.root / "quarantine" / name)
        if names and not self._is_described():
            faults[DESCRIPTION] = f"{DESCRIPTION} was not what was written, and is written again"
            self._describe()
        return VerifyReport(len(names), size, faults)

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

    def _bytes(self, part: str) -> int:
        folder = self.root / "parts" / part
        return sum((folder / path).stat().st_size for path in files_below(folder))

    def _part_names(self) -> list[str]:
        folder = self.root / "parts"
        return sorted(path.name for path in folder.iterdir() if is_part_name(path.name)) if folder.exists() else []

    def _index(self) -> dict[str, tuple[Part, int]]:
        """Return where each row lies, after a look at which parts there are; parts never change, so each loads once."""
        names = self._part_names()
        if names != list(self._parts):
            folder = self.root / "parts"
            parts = {name: self._parts.get(name) or Part.load(folder / name, name, self.digest) for name in names}
            # Backwards, so that of equal rows those of the smallest name stay.
            self._places = {
                name: (part, row) for part in reversed(parts.values()) for row, name in enumerate(part.recording_ids)
            }
            self._parts = parts
        return self._places

    def _prepare(self) -> None:
        for folder in ("tmp", "parts"):
            make_folder(self.root / folder)
        if not self._is_described():
            self._describe()
        for left in (self.root / "tmp").iterdir():
            try:
                stale = time.time() - left.stat().st_mtime > STALE_AFTER_S
            except FileNotFoundError:  # its writer has just finished
                continue
            if stale:
                LOG.info("feature store %s: removing %s, left by a writer that died", self.root, left.name)
                shutil.rmtree(left, ignore_errors=True)  # another writer may be removing it too

    def _description(self) -> bytes:
        about = {"feature_set": self.digest, "revision": REVISION, "spec": parameters(self.spec)}
        return (json.dumps(about, indent=2) + "\n").encode()

    def _is_described(self) -> bool:
        path = self.root / DESCRIPTION
        return path.exists() and path.read_bytes() == self._description()

    def _describe(self) -> None:
        make_folder(self.root / "tmp")
        write_file(self.root / DESCRIPTION, self._description(), self.root / "tmp" / uuid.uuid4().hex)


def _runs(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last of each run of neighbours in the sorted ``rows``."""
    edges = np.flatnonzero(np.diff(rows) != 1)
    return list(zip((rows[edge] for edge in [0, *(edges + 1)]), (rows[edge] for edge in [*edges, -1]), strict=True))
