"""A feature store in a bucket: `s3://bucket/prefix`, on any service that speaks S3.

Belongs here: parts as objects, arrays read by zarr-python through the same client. Does not: what is in the objects,
nor talking to the service (cry_pipeline/storage/bucket.py).

An object store has no rename, but puts an object whole or not at all, and shows it to all who list from then on. So a
part is there when its ``part.json`` is: put last, removed first.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np

from cry_pipeline.features.store.storage import INDEX, PARTS, QUARANTINE
from cry_pipeline.storage.bucket import REQUESTS, Bucket, side_by_side


class ObjectStorage:
    """See :class:`~cry_pipeline.features.store.storage.Storage`."""

    reads_at_once = REQUESTS

    def __init__(self, bucket: Bucket) -> None:
        self.uri, self._bucket = bucket.uri, bucket

    def below(self, name: str) -> "ObjectStorage":
        """Return the storage of the objects under ``name/``."""
        return ObjectStorage(self._bucket.below(name))

    def names(self) -> list[str]:
        """Return the names before the next ``/`` of all objects here, sorted."""
        return self._bucket.names()

    def parts(self) -> list[str]:
        """Return the parts whose ``part.json`` is there, sorted."""
        return [one.path.split("/")[1] for one in self._bucket.objects(PARTS) if one.path.endswith(f"/{INDEX}")]

    def has_part(self, name: str) -> bool:
        """Return whether the part's ``part.json`` is there."""
        try:
            self._bucket.entry(f"{PARTS}/{name}/{INDEX}")
        except FileNotFoundError:
            return False
        return True

    def read(self, path: str) -> bytes:
        """Return an object's content."""
        return self._bucket.read(path)

    def replace(self, path: str, content: bytes) -> None:
        """Put ``content`` at ``path``."""
        self._bucket.write(path, content)

    def publish(self, name: str, files: Mapping[str, bytes], check: Callable[[str], None]) -> None:
        """Put ``files``, check them, and put ``part.json`` last."""
        folder = f"{PARTS}/{name}"
        others = [path for path in files if path != INDEX]
        try:
            side_by_side(lambda path: self.replace(f"{folder}/{path}", files[path]), others)
            check(folder)
            self.replace(f"{folder}/{INDEX}", files[INDEX])
        except BaseException:
            # The last answer may have been lost on its way though the part is there: first out of sight, then away.
            self._remove([f"{folder}/{INDEX}", *(f"{folder}/{path}" for path in others)])
            raise

    def set_aside(self, name: str) -> bool:
        """Copy a part to ``quarantine/``, over an older copy of it, then remove it."""
        if not self.has_part(name):
            return False
        folder = f"{PARTS}/{name}"
        paths = self._paths(folder)
        try:
            side_by_side(lambda path: self._bucket.copy(path, f"{QUARANTINE}{path.removeprefix(PARTS)}"), paths)
        except FileNotFoundError:  # another process was quicker
            return False
        self._remove(paths)
        return True

    def remove(self, path: str) -> None:
        """Remove the objects under ``path/``: each part's ``part.json`` first."""
        self._remove(self._paths(path))

    def size(self, path: str) -> int:
        """Return the bytes of all objects under ``path/``."""
        return sum(self.sizes(path).values())

    def sizes(self, path: str) -> dict[str, int]:
        """Return the bytes of each object under ``path/``, by its path from there."""
        return {one.path.removeprefix(f"{path}/"): one.bytes for one in self._bucket.objects(path)}

    def leftovers(self, age_s: float) -> list[str]:
        """Return the folders without ``part.json`` under ``parts/`` into which nothing was put for ``age_s``."""
        latest: dict[str, float] = {}
        objects = self._bucket.objects(PARTS)
        for one in objects:
            folder = "/".join(one.path.split("/")[:2])
            latest[folder] = max(latest.get(folder, 0.0), one.modified)
        whole = {one.path.removesuffix(f"/{INDEX}") for one in objects if one.path.endswith(f"/{INDEX}")}
        return sorted(folder for folder in latest.keys() - whole if time.time() - latest[folder] > age_s)

    def written_since(self, age_s: float) -> bool:
        """Return whether an object was put here in the last ``age_s`` seconds."""
        return any(time.time() - one.modified < age_s for one in self._bucket.objects())

    def open_array(self, path: str) -> "_Array":
        """Return the array at ``path``, opened by zarr-python."""
        with self._bucket.told(path):
            return _Array(self.array_store(path), self._bucket.told)

    def array_store(self, path: str = "") -> Any:
        """Return the Zarr store of what lies under ``path``, for zarr-python and xarray; it can only be read."""
        from zarr.storage import ObjectStore

        return ObjectStore(self._bucket.client(path), read_only=True)

    def _paths(self, path: str) -> list[str]:
        return [one.path for one in self._bucket.objects(path)]

    def _remove(self, paths: Sequence[str]) -> None:
        self._bucket.remove(*(path for path in paths if path.endswith(f"/{INDEX}")))
        self._bucket.remove(*(path for path in paths if not path.endswith(f"/{INDEX}")))


class _Array:
    """See :class:`~cry_pipeline.features.store.storage.StoredArray`; a missing chunk reads as NaN, which is refused."""

    def __init__(self, store: Any, told: Callable[[], AbstractContextManager[str]]) -> None:
        import zarr

        self._told = told
        opened = zarr.open_array(store, mode="r")
        self._opened: Any = opened
        self.shape = opened.shape
        self.dtype = str(opened.dtype)

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the rows of each of ``ranges``, several requested at a time."""
        with self._told():
            return side_by_side(lambda edges: np.asarray(self._opened[edges[0] : edges[1]]), ranges)
