"""Which parts a reader sees, and where each row lies in them.

Belongs here: a snapshot, which parts are visible, and which of equal rows counts. Does not: what is in a
part (parts.py), and how parts come (store.py, compaction.py) and go (garbage.py).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from cry_pipeline.features.store.parts import Part, is_part_name
from cry_pipeline.features.store.rows import FeatureStoreError, RowKey
from cry_pipeline.features.store.storage import Storage
from cry_pipeline.storage.bucket import side_by_side


@dataclass(frozen=True)
class Snapshot:
    """The parts that a reader saw: what :meth:`FeatureStore.at` reads again, whatever has been written since."""

    feature_set: str
    """Digest of the feature set."""
    parts: tuple[str, ...]


class PartIndex:
    """The parts in a storage, each loaded once since parts never change.

    Visible are those that no other of them supersedes. With ``pinned``, only the parts named in it are looked at.
    """

    def __init__(self, storage: Storage, feature_set: str, pinned: Iterable[str] | None = None) -> None:
        self.storage = storage
        self.feature_set = feature_set
        self.present: dict[str, Part] = {}
        """All parts there are, superseded ones too, by name in ascending order."""
        self.visible: dict[str, Part] = {}
        self._pinned = None if pinned is None else sorted(pinned)
        self._places: dict[RowKey, Part] = {}

    def refresh(self) -> dict[RowKey, Part]:
        """Look which parts there are now, and return by row in which of them it lies.

        Raises:
            FeatureStoreError: the ``part.json`` of a part is not what was written, or a snapshot's part is gone.
        """
        while True:
            names = self._wanted_names()
            if names == list(self.present):
                return self._places
            try:
                present = self._loaded(names)
            except FeatureStoreError:
                if names != self._wanted_names():  # a part was taken away between the look and its reading
                    continue
                raise
            self._take_in(present)

    def _loaded(self, names: list[str]) -> dict[str, Part]:
        """Return the parts ``names``, those that are new read side by side."""
        known = self.present  # another thread may put another in its place meanwhile
        new = [name for name in names if name not in known]
        loaded = dict(zip(new, side_by_side(self.load, new, self.storage.reads_at_once), strict=True))
        return {name: known.get(name) or loaded[name] for name in names}

    def load(self, name: str) -> Part:
        """Read one part's ``part.json``; raises as :meth:`Part.load`."""
        return Part.load(self.storage, name, self.feature_set)

    def names(self) -> list[str]:
        """Return the names of all parts there are now, sorted.

        Neither folder nor bucket is listed in one moment: a compacted part may appear behind the listing and what it
        supersedes be removed before it. Two equal listings rule that out.
        """
        first, second = None, self._listed()
        while first != second:
            first, second = second, self._listed()
        return second

    def _listed(self) -> list[str]:
        return [name for name in self.storage.parts() if is_part_name(name)]

    def _wanted_names(self) -> list[str]:
        names = self.names()
        if self._pinned is None:
            return names
        gone = sorted(set(self._pinned) - set(names))
        if gone:
            raise FeatureStoreError(
                f"{self.storage.uri}: part {gone[0]} of the snapshot is not here any more: garbage collection removed"
                " it, or verify() set it aside; read the store as it is now"
            )
        return self._pinned

    def _take_in(self, present: dict[str, Part]) -> None:
        superseded = {name for part in present.values() for name in part.supersedes}
        visible = {name: part for name, part in present.items() if name not in superseded}
        places = self._places
        added = [part for name, part in visible.items() if name not in self.visible]
        if not set(self.visible) <= set(visible):
            places, added = {}, list(visible.values())
        if places:
            for part in added:
                for key in part.rows:
                    holder = places.setdefault(key, part)
                    if part.name < holder.name:
                        places[key] = part
        else:  # backwards, so that those of the smallest name stay; of equal rows every reader takes the same
            for part in reversed(added):
                places.update(dict.fromkeys(part.rows, part))
        self.present, self.visible, self._places = present, visible, places
