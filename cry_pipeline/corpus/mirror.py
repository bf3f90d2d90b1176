"""An inbox in a bucket: a folder of copies of its objects, which the intake takes from as from any other inbox.

Belongs here: fetching what is new, of a corpus in a bucket, too, and removing objects that were taken in. Does not:
taking in (intake.py), nor talking to the service (storage/bucket.py).
"""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from cry_pipeline.artefacts import DamagedFileError, make_folder, read_json, write_json
from cry_pipeline.corpus.listing import UNFINISHED
from cry_pipeline.corpus.paths import printable, unprintable
from cry_pipeline.corpus.reading import MAX_BYTES
from cry_pipeline.identity import SETTLED_S
from cry_pipeline.storage.bucket import Bucket, Entry, side_by_side

if TYPE_CHECKING:
    from cry_pipeline.settings import Settings

LONGEST_NAME, LONGEST_KEY = 255, 1024


@dataclass(frozen=True)
class Mirror:
    """The objects of ``bucket`` as files in ``folder``; beside it lies which version of each it has."""

    bucket: Bucket
    folder: Path

    @classmethod
    def of(cls, settings: "Settings") -> "Mirror | None":
        """Return the mirror of the inbox that ``settings`` name, or None where it is a folder."""
        place = settings.inbox_place
        return cls(Bucket(place), settings.inbox) if "://" in place else None

    def refresh(self) -> list[dict[str, str]]:
        """Fetch what is new or has changed, and drop copies of what is gone; return what no file can be called.

        What the intake does not read is not fetched: of an object that is too large there is a file of holes.

        Raises:
            OSError: the bucket cannot be listed or read.
        """
        had, has, aside = self._versions(), dict[str, str](), list[dict[str, str]]()
        make_folder(self.folder)
        entries = self.bucket.entries()
        fitting = _fitting(entry.path for entry in entries)
        for path in sorted(had.keys() - fitting):
            self._forget(self.folder / path)

        def fetch(entry: Entry) -> None:
            if entry.path not in fitting:
                aside.append({"root": "inbox", "path": printable(entry.path), "why": "no file can be called so"})
                return
            file = self.folder / entry.path
            if had.get(entry.path) != entry.version or not file.is_file():
                self._fetch(entry, file)
            has[entry.path] = entry.version

        try:
            side_by_side(fetch, entries)
        finally:
            write_json(self._note, {"bucket": self.bucket.uri, "versions": has})
        return sorted(aside, key=lambda entry: entry["path"])

    def arrived(self) -> list[str]:
        """Return what has come, changed or gone since :meth:`refresh`, each as a text of its own.

        Raises:
            OSError: the bucket cannot be listed.
        """
        entries = self.bucket.entries()
        fitting = _fitting(entry.path for entry in entries)
        now = {entry.path: entry.version for entry in entries if entry.path in fitting}
        return sorted(f"{path} {version}" for path, version in now.items() ^ self._versions().items())

    def remove(self, path: str) -> bool:
        """Remove the object of a copy, named as tables name it; return False if it is another one by now."""
        key = unprintable(path)
        with suppress(FileNotFoundError):
            if self.bucket.entry(key).version != self._versions().get(key):
                return False
            self.bucket.remove(key)
        return True

    @property
    def _note(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.json")

    def _versions(self) -> dict[str, str]:
        try:
            note = read_json(self._note)
        except DamagedFileError:  # or there is none yet: all is fetched
            return {}
        return note["versions"] if note["bucket"] == self.bucket.uri else {}

    def _forget(self, copy: Path) -> None:
        """Remove a copy, and the folders that are empty then: an object may now be called as one of them was."""
        copy.unlink(missing_ok=True)
        with suppress(OSError):  # the first that is not empty, or not there
            for folder in takewhile(lambda folder: folder != self.folder, copy.parents):
                folder.rmdir()

    def _fetch(self, entry: Entry, file: Path) -> None:
        unread = file.name.startswith(".") or file.name.lower().endswith(UNFINISHED) or entry.bytes > MAX_BYTES
        make_folder(file.parent)
        with file.open("wb") as copy:
            if unread:
                copy.truncate(entry.bytes)
            else:
                copy.write(self.bucket.read(entry.path))
        whole_since = time.time() - 2 * SETTLED_S  # an object is never half
        os.utime(file, (whole_since, whole_since))


def copied_corpus(settings: "Settings") -> Path:
    """Return the folder of a copy of the corpus that lies in a bucket, as that is now; what is there is not fetched.

    Raises:
        OSError: the bucket cannot be listed or read.
    """
    copy = Mirror(Bucket(str(settings.corpus)), settings.corpus_copy)
    copy.refresh()
    return copy.folder


def _fitting(keys: Iterable[str]) -> set[str]:
    """Return those of ``keys`` that can all be files of one folder: none lies below another."""
    fitting = {key for key in keys if _fits(key)}
    return {key for key in fitting if not any(str(above) in fitting for above in PurePosixPath(key).parents)}


def _fits(key: str) -> bool:
    """Return whether a file can have an object's key for its path, below the folder and not elsewhere."""
    names = key.split("/")
    short = len(key.encode(errors="replace")) <= LONGEST_KEY
    return short and not any(
        name in ("", ".", "..") or "\0" in name or len(name.encode(errors="replace")) > LONGEST_NAME for name in names
    )
