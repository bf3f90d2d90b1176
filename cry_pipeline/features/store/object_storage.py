"""A feature store in a bucket: `s3://bucket/prefix`, on any service that speaks S3.

Belongs here: objects put, copied, listed and removed by obstore, arrays read by zarr-python through the same client.
Does not: what is in the objects. Credentials, region and address are those of the usual ``AWS_…`` variables
(``AWS_ENDPOINT_URL`` and ``AWS_ALLOW_HTTP`` for a service of one's own).

An object store has no rename, but puts an object whole or not at all, and shows it to all who list from then on. So a
part is there when its ``part.json`` is: put last, removed first.
"""

import errno
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import numpy as np

from cry_pipeline.features.store.rows import FeatureStoreError
from cry_pipeline.features.store.storage import INDEX, PARTS, QUARANTINE

try:
    import obstore
    from obstore.exceptions import BaseError
    from obstore.store import S3Store
except ModuleNotFoundError as error:
    raise FeatureStoreError("a feature store under s3:// needs obstore: pip install 'cry-pipeline[s3]'") from error

REQUESTS = 16
"""At a time, of one operation."""


class ObjectStorage:
    """See :class:`~cry_pipeline.features.store.storage.Storage`."""

    def __init__(self, name: str, bucket: S3Store, uri: str, prefix: str) -> None:
        self.uri = uri
        self._name = name
        self._bucket = bucket
        self._prefix = prefix

    @classmethod
    def open(cls, uri: str) -> "ObjectStorage":
        """Return the storage at ``uri``; nothing is asked of the service yet.

        Raises:
            FeatureStoreError: the URI names no bucket, or the ``AWS_…`` variables hold something odd.
        """
        name, _, prefix = uri.removeprefix("s3://").partition("/")
        if not name:
            raise FeatureStoreError(f"{uri} names no bucket: s3://bucket/prefix")
        try:
            bucket = S3Store(name)
        except BaseError as error:
            raise FeatureStoreError(f"{uri} cannot be opened: {error}") from error
        return cls(name, bucket, uri.rstrip("/"), prefix.strip("/"))

    def below(self, name: str) -> "ObjectStorage":
        """Return the storage of the objects under ``name/``."""
        return ObjectStorage(self._name, self._bucket, f"{self.uri}/{name}", self._key(name))

    def names(self) -> list[str]:
        """Return the names before the next ``/`` of all objects here, sorted."""
        with self._told():
            listing = obstore.list_with_delimiter(self._bucket, f"{self._prefix}/" if self._prefix else None)
        keys = [*listing["common_prefixes"], *(about["path"] for about in listing["objects"])]
        return sorted(key.rpartition("/")[2] for key in keys)

    def parts(self) -> list[str]:
        """Return the parts whose ``part.json`` is there, sorted."""
        return sorted(path.split("/")[1] for path in self._objects(PARTS) if path.endswith(f"/{INDEX}"))

    def has_part(self, name: str) -> bool:
        """Return whether the part's ``part.json`` is there."""
        try:
            with self._told(f"{PARTS}/{name}/{INDEX}") as key:
                obstore.head(self._bucket, key)
        except FileNotFoundError:
            return False
        return True

    def read(self, path: str) -> bytes:
        """Return an object's content."""
        with self._told(path) as key:
            return obstore.get(self._bucket, key).bytes().to_bytes()

    def replace(self, path: str, content: bytes) -> None:
        """Put ``content`` at ``path``."""
        with self._told(path) as key:
            obstore.put(self._bucket, key, content)

    def publish(self, name: str, files: Mapping[str, bytes], check: Callable[[str], None]) -> None:
        """Put ``files``, check them, and put ``part.json`` last."""
        folder = f"{PARTS}/{name}"
        others = [path for path in files if path != INDEX]
        try:
            self._each(lambda path: self.replace(f"{folder}/{path}", files[path]), others)
            check(folder)
            self.replace(f"{folder}/{INDEX}", files[INDEX])
        except BaseException:
            # The last answer may have been lost on its way though the part is there: first out of sight, then away.
            self._remove(folder, [f"{folder}/{INDEX}", *(f"{folder}/{path}" for path in others)])
            raise

    def set_aside(self, name: str) -> bool:
        """Copy a part to ``quarantine/``, over an older copy of it, then remove it."""
        if not self.has_part(name):
            return False
        folder = f"{PARTS}/{name}"
        paths = [*self._objects(folder)]

        def copy(path: str) -> None:
            with self._told(path) as key:
                obstore.copy(self._bucket, key, self._key(f"{QUARANTINE}/{path.removeprefix(f'{PARTS}/')}"))

        try:
            self._each(copy, paths)
        except FileNotFoundError:  # another process was quicker
            return False
        self._remove(folder, paths)
        return True

    def remove(self, path: str) -> None:
        """Remove the objects under ``path/``: each part's ``part.json`` first."""
        self._remove(path, [*self._objects(path)])

    def size(self, path: str) -> int:
        """Return the bytes of all objects under ``path/``."""
        return sum(about["size"] for about in self._objects(path).values())

    def sizes(self, path: str) -> dict[str, int]:
        """Return the bytes of each object under ``path/``, by its path from there."""
        return {name.removeprefix(f"{path}/"): about["size"] for name, about in self._objects(path).items()}

    def leftovers(self, age_s: float) -> list[str]:
        """Return the folders without ``part.json`` under ``parts/`` into which nothing was put for ``age_s``."""
        latest: dict[str, float] = {}
        objects = self._objects(PARTS)
        for path, about in objects.items():
            folder = "/".join(path.split("/")[:2])
            latest[folder] = max(latest.get(folder, 0.0), about["last_modified"].timestamp())
        return sorted(
            folder
            for folder, put_at in latest.items()
            if f"{folder}/{INDEX}" not in objects and time.time() - put_at > age_s
        )

    def written_since(self, age_s: float) -> bool:
        """Return whether an object was put here in the last ``age_s`` seconds."""
        return any(time.time() - about["last_modified"].timestamp() < age_s for about in self._objects("").values())

    def open_array(self, path: str) -> "_Array":
        """Return the array at ``path``, opened by zarr-python."""
        with self._told(path):
            return _Array(self, path)

    def array_store(self, path: str = "") -> Any:
        """Return the Zarr store of what lies under ``path``, for zarr-python and xarray; it can only be read."""
        from zarr.storage import ObjectStore

        prefixed = S3Store(self._name, prefix=self._key(path))
        return ObjectStore(prefixed, read_only=True)

    def _key(self, path: str) -> str:
        return "/".join(filter(None, (self._prefix, path)))

    def _objects(self, path: str) -> dict[str, Any]:
        """Return what is known of each object under ``path/``, by its own path."""
        with self._told(path) as key:
            objects = [about for chunk in obstore.list(self._bucket, f"{key}/" if key else None) for about in chunk]
        skip = len(self._prefix) + 1 if self._prefix else 0
        return {about["path"][skip:]: about for about in objects}

    def _remove(self, folder: str, paths: Sequence[str]) -> None:
        first = [self._key(path) for path in paths if path.endswith(f"/{INDEX}")]
        rest = [self._key(path) for path in paths if not path.endswith(f"/{INDEX}")]
        for keys in (first, rest):
            with self._told(folder):
                for start in range(0, len(keys), 1000):
                    obstore.delete(self._bucket, keys[start : start + 1000])

    def _each(self, act: Callable[[str], None], paths: Sequence[str]) -> None:
        with ThreadPoolExecutor(REQUESTS) as pool:
            list(pool.map(act, paths))

    @contextmanager
    def _told(self, path: str = "") -> Iterator[str]:
        """Give the key of ``path``, and let errors of obstore be the ``OSError`` that the store expects."""
        try:
            yield self._key(path)
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "no such object", f"{self.uri}/{path}") from error
        except BaseError as error:
            raise OSError(f"{self.uri}/{path}: {str(error).split('Debug source', 1)[0].strip()}") from error


class _Array:
    """See :class:`~cry_pipeline.features.store.storage.StoredArray`; a missing chunk reads as NaN, which is refused."""

    def __init__(self, storage: ObjectStorage, path: str) -> None:
        import zarr

        self._storage = storage
        opened = zarr.open_array(storage.array_store(path), mode="r")
        self._opened: Any = opened
        self.shape = opened.shape
        self.dtype = str(opened.dtype)

    def read(self, ranges: Sequence[tuple[int, int]]) -> list[np.ndarray]:
        """Return the rows of each of ``ranges``, several requested at a time."""
        with self._storage._told(), ThreadPoolExecutor(REQUESTS) as pool:
            return list(pool.map(lambda edges: np.asarray(self._opened[edges[0] : edges[1]]), ranges))
