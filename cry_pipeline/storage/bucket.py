"""A prefix of a bucket, ``s3://bucket/prefix``, on any service that speaks S3: the only file that talks to one.

Belongs here: objects listed, read, put, copied and removed by obstore, and its errors told as ``OSError``. Does not:
what is in the objects. Credentials, region and address are those of the usual ``AWS_…`` variables (``AWS_ENDPOINT_URL``
and ``AWS_ALLOW_HTTP`` for a service of one's own). obstore asks again, for three minutes, where a service does not
answer or says that it is busy.

An object is put whole or not at all, and whoever lists from then on sees it.
"""

import errno
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")
REQUESTS = 16
"""At a time, of one operation."""
REMOVED_AT_ONCE = 1000
SCHEME = "s3://"


class PlaceError(RuntimeError):
    """A place for files is none that can be used; the message says why and what to do."""


class ChangedMeanwhileError(OSError):
    """An object is another one by now, or is there already: somebody else put it first."""


@dataclass(frozen=True)
class Entry:
    """A file of a place: its POSIX path there, bytes, and what changes whenever its content does.

    ``modified`` is when it was written, by the clock of whoever keeps it, in seconds since 1970.
    """

    path: str
    bytes: int
    version: str
    modified: float = 0.0


class Bucket:
    """The objects below a prefix, by their paths from there; also a :class:`~cry_pipeline.storage.places.Place`.

    Every method raises OSError where the service cannot be reached or refuses; of an object that is not there
    FileNotFoundError.
    """

    def __init__(self, uri: str) -> None:
        """Open ``uri``; nothing is asked of the service yet.

        Raises:
            PlaceError: it names no bucket, obstore is missing, or the ``AWS_…`` variables hold something odd.
        """
        self.name, _, prefix = uri.removeprefix(SCHEME).partition("/")
        if not self.name:
            raise PlaceError(f"{uri} names no bucket: {SCHEME}bucket/prefix")
        self.uri, self.prefix = uri.rstrip("/"), prefix.strip("/")
        self._client = self.client()

    def __reduce__(self) -> tuple[type["Bucket"], tuple[str]]:
        """Go to another process as an address: a client cannot."""
        return Bucket, (self.uri,)

    def client(self, below: str | None = None) -> Any:
        """Return obstore's own client of the whole bucket, or of what lies ``below`` a path."""
        try:
            from obstore.exceptions import BaseError
            from obstore.store import S3Store
        except ModuleNotFoundError as error:
            raise PlaceError(f"{self.uri} needs obstore: pip install 'cry-pipeline[s3]'") from error
        try:
            return S3Store(self.name) if below is None else S3Store(self.name, prefix=self.key(below))
        except BaseError as error:
            raise PlaceError(f"{self.uri} cannot be opened: {error}") from error

    def below(self, name: str) -> "Bucket":
        """Return the bucket of the objects under ``name/``."""
        return Bucket(f"{self.uri}/{name}")

    def names(self) -> list[str]:
        """Return the names before the next ``/`` of all objects here, sorted."""
        import obstore

        with self.told():
            listing = obstore.list_with_delimiter(self._client, f"{self.prefix}/" if self.prefix else None)
        keys = [*listing["common_prefixes"], *(about["path"] for about in listing["objects"])]
        return sorted(key.rpartition("/")[2] for key in keys)

    def objects(self, path: str = "") -> list[Entry]:
        """Return all objects under ``path/``, sorted by path; a thousand for each request."""
        import obstore

        with self.told(path) as key:
            found = [about for chunk in obstore.list(self._client, f"{key}/" if key else None) for about in chunk]
        return sorted(map(self._entry, found), key=lambda entry: entry.path)

    def entries(self) -> list[Entry]:
        """Return all objects that are files: an empty one without an extension marks a folder, and is none.

        Raises:
            OSError: also where a key is none that a path can be, as one with ``..``: it is named.
        """
        return [one for one in self.objects() if one.path and (one.bytes or PurePosixPath(one.path).suffix)]

    def entry(self, path: str) -> Entry:
        """Return what is known of one object now."""
        import obstore

        with self.told(path) as key:
            return self._entry(obstore.head(self._client, key))

    def read(self, path: str) -> bytes:
        """Return an object's bytes."""
        return self.read_version(path)[0]

    def read_version(self, path: str) -> tuple[bytes, str]:
        """Return an object's bytes and the version that they are."""
        import obstore

        with self.told(path) as key:
            answer = obstore.get(self._client, key)
            return answer.bytes().to_bytes(), _version(answer.meta)

    def write(self, path: str, data: bytes) -> None:
        """Put an object: whole or not at all."""
        import obstore

        with self.told(path) as key:
            obstore.put(self._client, key, data)

    def write_over(self, path: str, data: bytes, version: str | None) -> str:
        """Put an object only over its ``version``, or where there is none over nothing; return its new version.

        Raises:
            ChangedMeanwhileError: there is another by now. Also where an answer was lost and obstore asked again: then
                it may be the one that was put here.
        """
        import obstore

        with self.told(path) as key:
            mode: Any = "create" if version is None else {"e_tag": version}
            return str(obstore.put(self._client, key, data, mode=mode)["e_tag"])

    def copy(self, path: str, to: str) -> None:
        """Copy an object, over what is there, without its bytes passing here."""
        import obstore

        with self.told(path) as key:
            obstore.copy(self._client, key, self.key(to))

    def remove(self, *paths: str) -> None:
        """Remove objects, those that are there; a service that keeps versions keeps them."""
        import obstore

        for start in range(0, len(paths), REMOVED_AT_ONCE):
            keys = [self.key(path) for path in paths[start : start + REMOVED_AT_ONCE]]
            try:
                with self.told(paths[start] if len(keys) == 1 else ""):
                    obstore.delete(self._client, keys)
            except FileNotFoundError:
                continue

    def key(self, path: str) -> str:
        """Return the whole key of ``path``."""
        return "/".join(filter(None, (self.prefix, path)))

    @contextmanager
    def told(self, path: str = "") -> Iterator[str]:
        """Give the key of ``path``, and let errors of obstore be OSErrors that name it."""
        from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError

        where = f"{self.uri}/{path}"
        try:
            yield self.key(path)
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "no such object", where) from error
        except (AlreadyExistsError, PreconditionError) as error:
            raise ChangedMeanwhileError(f"{where} was written by somebody else meanwhile") from error
        except BaseError as error:
            raise OSError(f"{where}: {str(error).split('Debug source', 1)[0].strip()}") from error

    def _entry(self, about: Any) -> Entry:
        path = about["path"][len(self.prefix) + 1 if self.prefix else 0 :]
        return Entry(path, about["size"], _version(about), about["last_modified"].timestamp())


def side_by_side(act: Callable[[T], R], items: Iterable[T], at_once: int = REQUESTS) -> list[R]:
    """Return what ``act`` makes of each of ``items``, several requests at a time; the first error is raised."""
    if at_once == 1:
        return list(map(act, items))
    with ThreadPoolExecutor(at_once) as pool:
        return list(pool.map(act, items))


def _version(about: Any) -> str:
    return str(about["e_tag"] or about["last_modified"].isoformat())
