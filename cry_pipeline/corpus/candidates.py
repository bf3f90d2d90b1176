"""A file that a source lists → its row of the inventory: its hash, what tells of it, or why it is not read.

Belongs here: one row. Does not: which files there are (sources.py, listing.py, archive.py), nor keeping hashes
(hashes.py).
"""

import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.corpus.archive import ABOUT, Archive, Kept, read_about
from cry_pipeline.corpus.filenames import uuids_in
from cry_pipeline.corpus.hashes import KeptHashes
from cry_pipeline.corpus.ledger import entry_of
from cry_pipeline.corpus.listing import Found, LeftAside
from cry_pipeline.corpus.paths import printable, unprintable
from cry_pipeline.corpus.reading import ChangedError, hash_regular
from cry_pipeline.corpus.refusals import Refusal
from cry_pipeline.corpus.tombstones import Tombstone, Tombstones
from cry_pipeline.identity import SETTLED_S, identity, settled
from cry_pipeline.storage.places import Folder

SECOND_LOOK_S = 0.1
"""How long a file that was written just now is watched, if there is one: who copies writes more often than that."""
WITHDRAWN = "(withdrawn)"
"""What stands for the path of a file that nobody is to be named by."""
LOST = "Its bytes are not in the archive any more: put a copy of the file there, or donate the recording again."
UNTOLD = "bytes that nothing tells of: put a copy of its .json back, or remove it"
DAMAGED = "Its bytes in the archive are not those that were donated: put a copy of the file there."


@dataclass(frozen=True)
class Candidate:
    """A file that will be a row: its root, that root's printable path, source, processing, and what was found."""

    root: str
    home: str
    source: str
    processing: str
    found: Found

    @property
    def path(self) -> str:
        """The row's path."""
        return self.found.path

    @property
    def entry(self) -> str:
        """By what the ledger finds it again: it is another one when the file, or what tells of it, changes."""
        parts = [self.found, self.found.sidecar] if self.found.sidecar else [self.found]
        versions = [
            ":".join(map(str, identity(part.status))) if part.status else part.refusal.reason if part.refusal else ""
            for part in parts
        ]
        return entry_of(self.path, "/".join(versions))

    def withdrawn(self, stones: Tombstones, recording_id: str | None = None) -> Tombstone | None:
        """Return the tombstone of the file, as far as its path or hash tell whose it is."""
        return withdrawn_path(self.found.path, stones) or stones.of(recording_id, None)

    def row(self, hashes: KeptHashes) -> dict[str, Any]:
        """Return the row of INVENTORY.

        Raises:
            ChangedError, FileNotFoundError: the file, or its sidecar, is not what it was when it was listed.
        """
        entry, sidecar = self.found, self.found.sidecar
        sha256, told, refusal = None, None, entry.refusal
        if entry.status is not None and refusal is None:
            try:
                sha256 = hashes.of(self.home, entry.path, entry.file, entry.status)
                if sidecar is not None:
                    told, refusal = _sidecar(sidecar, unprintable(self.home))
            except (ChangedError, FileNotFoundError):
                raise
            except OSError as error:
                refusal = Refusal("unreadable", f"It cannot be read: {error.strerror or error}.")
        size = entry.status.st_size if entry.status is not None else 0
        return self.as_row(size, sha256, sidecar.path if sidecar is not None else None, told, refusal)

    def as_row(
        self, size: int, sha256: str | None, sidecar: str | None, told: str | None, refusal: Refusal | None
    ) -> dict[str, Any]:
        """Return these as a row."""
        return {
            "root": self.root,
            "path": self.found.path,
            "source": self.source,
            "processing": self.processing,
            "bytes": size,
            "sha256": sha256,
            "sidecar": sidecar,
            "sidecar_sha256": told,
            "refused": refusal.reason if refusal is not None else None,
            "detail": refusal.detail if refusal is not None else None,
        }

    def nothing(self) -> dict[str, Any]:
        """Return a row that says nothing of the file but where it lies."""
        return self.as_row(0, None, None, None, None)

    def is_unknown(self, hashes: KeptHashes) -> bool:
        """Return whether the row would need the file to be read."""
        status, refusal = self.found.status, self.found.refusal
        return status is not None and refusal is None and not hashes.knows(self.home, self.found.path, status)


@dataclass(frozen=True)
class Archived(Candidate):
    """A donation of the archive; what tells of it is its ``.json`` there, less when it came."""

    archive: Archive
    kept: Kept

    def withdrawn(self, stones: Tombstones, recording_id: str | None = None) -> Tombstone | None:
        """Return its tombstone: of who restored an archive from a backup, this is all that keeps it out."""
        if not len(stones):
            return None
        try:
            donor = read_about(self.archive.about_file(self.kept), self.kept.recording_id).told.donor
        except (DamagedFileError, FileNotFoundError):
            donor = None  # its row is a refusal
        return stones.of(recording_id or self.kept.recording_id, donor)

    def row(self, hashes: KeptHashes) -> dict[str, Any]:
        """Return the row of INVENTORY; what is not as it was donated is refused."""
        recording_id, told, refusal = self.kept.recording_id, None, self.found.refusal
        about = self.archive.about_file(self.kept)
        try:
            told = hashes.of(
                self.home, about.name, about, about.stat(), lambda: read_about(about, recording_id).telling
            )
            if self.found.status is not None and refusal is None:
                content = hashes.of(self.home, self.found.path, self.found.file, self.found.status)
                refusal = None if content == recording_id else Refusal("unreadable", DAMAGED)
        except DamagedFileError as error:
            refusal = Refusal("unreadable", f"{error}.")
        size = max(0, self.kept.bytes)
        return self.as_row(size, None if refusal else recording_id, self.kept.path + ABOUT, told, refusal)


def archived(archive: Archive) -> Iterator[Candidate | LeftAside]:
    """Yield every donation of the archive, and bytes that nothing tells of.

    Of one in a bucket, bytes are not read: they are checked where they are.
    """
    folder = archive.files.folder if isinstance(archive.files, Folder) else None
    home = printable(os.path.realpath(folder)) if folder is not None else archive.place
    listing, strays = archive.contents()
    for path in strays:
        yield LeftAside(path, UNTOLD)
    for kept in listing:
        file, status, refusal = Path(kept.path), None, None
        if kept.bytes < 0:
            refusal = Refusal("unreadable", LOST)
        elif folder is not None:
            file = folder / kept.path
            status = file.stat()
        yield Archived("archive", home, "inbox", "raw", Found(kept.path, file, status, refusal), archive, kept)


def entry_of_file(folder: Path, path: str, sidecar: str | None) -> str | None:
    """Return :attr:`Candidate.entry` of a file as it is now, or None if it, or its sidecar, is gone."""
    try:
        found = [(folder / unprintable(one)).stat() for one in (path, sidecar) if one is not None]
    except OSError:
        return None
    return entry_of(path, "/".join(":".join(map(str, identity(status))) for status in found))


def withdrawn_path(path: str, stones: Tombstones) -> Tombstone | None:
    """Return the tombstone of a donor whom a path names, or None."""
    found = (stones.of(None, donor) for donor in uuids_in(path)) if len(stones) else ()
    return next((stone for stone in found if stone is not None), None)


def masked(row: dict[str, Any], stone: Tombstone, stones: Tombstones) -> dict[str, Any]:
    """Return the row of a withdrawn file of the inbox: it names neither donor nor recording."""
    refusal = Refusal("withdrawn", stone.sentence)
    return row | {
        "path": stones.masked(row["path"]),
        "sha256": None,
        "sidecar": None,
        "sidecar_sha256": None,
        "refused": refusal.reason,
        "detail": refusal.detail,
    }


def still_being_written(candidates: Iterable[Candidate], patience_s: float = SECOND_LOOK_S) -> set[tuple[str, str]]:
    """Return root and path of those that change while one waits; only what was written just now is waited for."""
    young = [item for item in candidates if item.found.status is not None and not settled(item.found.status)]
    if not young:
        return set()
    left_s = [SETTLED_S - abs(time.time() - item.found.status.st_mtime) for item in young if item.found.status]
    time.sleep(max(0.0, min(patience_s, max(left_s))))
    return {(item.root, item.found.path) for item in young if _has_changed(item.found)}


def _has_changed(entry: Found) -> bool:
    try:
        return entry.status is None or identity(entry.file.stat()) != identity(entry.status)
    except OSError:
        return True


def _sidecar(beside: Found, home: str) -> tuple[str | None, Refusal | None]:
    """Return the sha256 of a sidecar, or why the file that it tells of is refused."""
    if beside.status is None or beside.refusal is not None:
        why = beside.refusal.detail if beside.refusal is not None else "It is no file."
        return None, Refusal("odd_name", f"Its sidecar {beside.path} is of no use. {why}")
    try:
        return hash_regular(beside.file, beside.status, home), None
    except (ChangedError, FileNotFoundError):
        raise
    except OSError as error:
        return None, Refusal("odd_name", f"Its sidecar {beside.path} cannot be read: {error.strerror or error}.")
