"""Where a feature store lies: what it asks of a folder and of a bucket alike.

Belongs here: the interface. Does not: the storages (folder_storage.py, object_storage.py), which of them a URI names
(opening.py), and what the store keeps in them (store.py, parts.py).

Paths are relative, with ``/`` between names. The store's own are ``feature_set.json``, ``parts/<part>/…``,
``quarantine/<part>/…``, and in a folder ``tmp/…``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np

INDEX = "part.json"
"""The file of a part that says what is in all others; on an object store, a part is there when this one is."""
PARTS, QUARANTINE, TEMPORARY = "parts", "quarantine", "tmp"
READERS_S = 24 * 3600.0
"""How long a reader may go on with the parts it saw; what was begun longer ago and is no part is of a dead writer."""
READ_ERRORS = (ValueError, RuntimeError, LookupError, OSError)
"""What TensorStore, zarr and the storages raise where an array cannot be opened or read."""


class StoredArray(Protocol):
    """An array of a part, opened; its chunks' checksums are checked whenever they are read."""

    shape: tuple[int, ...]
    dtype: str

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the rows ``start`` to ``stop`` of each of ``ranges``; raises one of :data:`READ_ERRORS`."""
        ...


class Storage(Protocol):
    """A place for feature sets, or for one of them (:meth:`below`).

    Every method raises ``OSError`` where the place cannot be reached; a file that is not there is a
    ``FileNotFoundError``, one that is lost for everybody has an ``errno`` of ``parts.DAMAGE``.
    """

    uri: str
    reads_at_once: int
    """How many files are worth reading at a time: of a bucket each is a request, and in a folder threads only wait."""

    def below(self, name: str) -> "Storage":
        """Return the storage of what lies under ``name``."""
        ...

    def names(self) -> list[str]:
        """Return the names under which something lies here, sorted."""
        ...

    def parts(self) -> list[str]:
        """Return the names of all that is visible under ``parts/``, sorted, as one listing saw it."""
        ...

    def has_part(self, name: str) -> bool:
        """Return whether a part is visible now."""
        ...

    def read(self, path: str) -> bytes:
        """Return a file's content."""
        ...

    def replace(self, path: str, content: bytes) -> None:
        """Put ``content`` at ``path``, whole or not at all; when this returns, it outlives a power failure."""
        ...

    def publish(self, name: str, files: Mapping[str, bytes], check: Callable[[str], None]) -> None:
        """Make the part ``name`` of ``files`` visible in one step; when this returns, it outlives a power failure.

        ``check`` is called before that with the path under which the files lie already (:data:`INDEX` perhaps not);
        if it raises, nothing becomes visible.
        """
        ...

    def set_aside(self, name: str) -> bool:
        """Move a part to ``quarantine/``; return False where it is gone."""
        ...

    def remove(self, path: str) -> None:
        """Remove what lies under ``path``: a part from sight in one step, then its files."""
        ...

    def size(self, path: str) -> int:
        """Return the bytes of all files under ``path``; what is removed meanwhile counts nothing."""
        ...

    def sizes(self, path: str) -> dict[str, int]:
        """Return the bytes of each file under ``path``, by its path from there."""
        ...

    def leftovers(self, age_s: float) -> list[str]:
        """Return the paths of what dead writers left, unchanged for ``age_s`` seconds."""
        ...

    def written_since(self, age_s: float) -> bool:
        """Return whether something was written here in the last ``age_s`` seconds."""
        ...

    def open_array(self, path: str) -> StoredArray:
        """Return the Zarr array at ``path``; raises one of :data:`READ_ERRORS`."""
        ...


def sizes_of_parts(storage: Storage) -> dict[str, dict[str, int]]:
    """Return by part the bytes of each of its files: one listing, where asking part by part would be one for each."""
    found: dict[str, dict[str, int]] = {}
    for path, size in storage.sizes(PARTS).items():
        name, _, file = path.partition("/")
        found.setdefault(name, {})[file] = size
    return found
