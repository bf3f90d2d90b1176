"""Which audio files there are: the corpus' layout, the inbox, and the inventory of both.

Belongs here: listing, hashing, and finding a listed file again. Does not: reading names (filenames.py) or
audio (decoding.py).
"""

import hashlib
import json
import logging
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cry_pipeline import keys
from cry_pipeline.artefacts import is_current, write_table
from cry_pipeline.catalog.digests import digest
from cry_pipeline.corpus.filenames import find_sidecar

LOG = logging.getLogger("cry_pipeline")

CLEANED = "donateacry_corpus_cleaned_and_updated_data"
LAYOUT = {
    CLEANED: ("donateacry_cleaned", "cleaned"),
    "donateacry-android-upload-bucket": ("donateacry_android", "raw"),
    "donateacry-ios-upload-bucket": ("donateacry_ios", "raw"),
}
CORPUS_NOTE = "corpus.json"
UNFINISHED = (".part", ".tmp")
HASHES = "hashes.parquet"
SETTLED_S = 2.0


class SourceError(RuntimeError):
    """A source cannot be listed or read; the message names the folder or file and says what to do."""


@dataclass(frozen=True)
class Roots:
    """The folders that recordings lie in: a corpus of the layout :data:`LAYOUT`, and the inbox for new donations."""

    corpus: Path
    inbox: Path | None = None

    def locate(self, root: str, path: str) -> Path:
        """Return the file at ``path``, relative to the root ``"corpus"`` or ``"inbox"``, with links resolved.

        Raises:
            SourceError: there is no such root, or the path leads out of it.
        """
        base = {"corpus": self.corpus, "inbox": self.inbox}.get(root)
        if base is None:
            raise SourceError(f"{path}: there is no root {root!r} here")
        resolved = (base / path).resolve()
        if not resolved.is_relative_to(base.resolve()):
            raise SourceError(f"{path} leads out of {base}: put the file itself there, not a link to it")
        return resolved


def take_inventory(roots: Roots, cache: Path) -> pd.DataFrame:
    """List and hash every file of the corpus and the inbox: INVENTORY, sorted by root and path.

    Left out are hidden files, unfinished ones (``.part``, ``.tmp``), JSON sidecars, and the corpus' own
    README.md. Hashes are kept in ``cache/hashes.parquet`` under (folder, path, size, mtime); how many were
    computed and reused is in the table's ``attrs``.

    Raises:
        SourceError: a folder or file cannot be read, or leads out of its root. Never taken for an empty one.
    """
    from cry_pipeline.corpus.schemas import INVENTORY, conforming, with_types

    hashes = _Hashes(cache)
    records = [
        {
            "root": root,
            "path": _printable(path),
            "source": source,
            "processing": processing,
            "bytes": size,
            "sha256": sha256,
            "sidecar_sha256": sidecar,
        }
        for root, folder, source, processing in _listed(roots)
        for path, size, sha256, sidecar in _read(roots, root, folder, hashes)
    ]
    hashes.save()
    table = with_types(records, INVENTORY).sort_values(["root", "path"], ignore_index=True)
    table = conforming(table, INVENTORY, "the inventory")
    table.attrs = {"computed": hashes.computed, "reused": len(table) - hashes.computed}
    LOG.info("inventory: %d files, computed=%d reused=%d", len(table), hashes.computed, table.attrs["reused"])
    return table


def fingerprint(inventory: pd.DataFrame) -> str:
    """Return a sha256 over all an inventory says, whatever the order of its rows and wherever its roots lie."""
    rows = inventory.astype(object).where(inventory.notna(), None).to_numpy().tolist()
    return digest(columns=list(inventory.columns), rows=sorted(rows, key=lambda row: row[:2]))


def write_inventory(inventory: pd.DataFrame, path: Path) -> None:
    """Write ``inventory`` to ``path`` as Parquet, atomically, with its fingerprint as provenance."""
    write_table(path, inventory, fingerprint(inventory))


def read_inventory(path: Path) -> pd.DataFrame:
    """Read and validate what :func:`write_inventory` wrote.

    Raises:
        FileNotFoundError: no inventory has been written there.
        TableError: the table is not an inventory.
    """
    from cry_pipeline.corpus.schemas import INVENTORY, read_table

    return read_table(path, INVENTORY)


def _listed(roots: Roots) -> Iterator[tuple[str, Path, str, str]]:
    """Yield (root, folder, source, processing) of each folder to walk."""
    synthetic = _is_synthetic(roots.corpus)
    for name, (source, processing) in LAYOUT.items():
        yield "corpus", roots.corpus / name, "synthetic" if synthetic else source, processing
    if roots.inbox is not None:
        yield "inbox", roots.inbox, "inbox", "raw"


def _is_synthetic(corpus: Path) -> bool:
    note = corpus / CORPUS_NOTE
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError) as error:
        raise SourceError(f"{note} cannot be read ({error}): generate the corpus again, or remove the file") from error
    if not isinstance(content, dict) or content.get("source") != "synthetic":
        raise SourceError(f'{note} must say {{"source": "synthetic"}}; a real corpus has no such file')
    return True


def _walk(folder: Path) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise SourceError(f"{error.filename} cannot be listed ({error.strerror}): make or mount it") from error

    for parent, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (Path(parent) / name).is_symlink():
                raise SourceError(f"{Path(parent) / name} is a link to a folder: put the files themselves there")
        for name in sorted(files):
            if not name.startswith(".") and not name.lower().endswith((*UNFINISHED, ".json")):
                yield Path(parent) / name


def _read(roots: Roots, root: str, folder: Path, hashes: "_Hashes") -> Iterator[tuple[str, int, str, str | None]]:
    """Yield (path below the root, bytes, sha256, sha256 of the sidecar) of each file under ``folder``."""
    base = roots.corpus if root == "corpus" else folder
    for file in _walk(folder):
        path = file.relative_to(base).as_posix()
        if root == "corpus" and file.name == "README.md":
            continue
        roots.locate(root, path)
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise SourceError(f"{file} is not a file but a pipe, a socket or a device: take it away")
            sidecar = find_sidecar(file) if root == "inbox" else None
            yield path, status.st_size, hashes.of(base, path, status), _hash(sidecar) if sidecar else None
        except FileNotFoundError:
            LOG.info("%s was taken away while it was listed", file)
        except OSError as error:
            raise SourceError(f"{file} cannot be read ({error.strerror}): see to its permissions") from error


def _hash(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _printable(path: str) -> str:
    """A name that is not UTF-8 has bytes that no table can hold; such a name is odd anyway."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


class _Hashes:
    """Hashes of files by folder, path, size and mtime; a damaged cache is made again.

    A file changed within the last :data:`SETTLED_S` is hashed but not kept: it could change again within the
    resolution of its mtime.
    """

    def __init__(self, cache: Path) -> None:
        self.path = cache / HASHES
        self.computed = 0
        self._seen: dict[tuple[str, str, int, int], str] = {}
        self._known: dict[tuple[str, str, int, int], str] = {}
        if is_current(self.path, keys.code_version("hashes", None)):
            table = pd.read_parquet(self.path)
            files = zip(table["folder"], table["path"], table["bytes"], table["mtime_ns"], strict=True)
            self._known = dict(zip(files, table["sha256"], strict=True))
        elif self.path.exists():
            LOG.warning("%s is damaged or of another version: all files are hashed again", self.path)

    def of(self, folder: Path, path: str, status: os.stat_result) -> str:
        key = (str(folder.resolve()), _printable(path), status.st_size, status.st_mtime_ns)
        sha256 = self._known.get(key)
        if sha256 is None:
            sha256 = _hash(folder / path)
            self.computed += 1
        if time.time() - status.st_mtime > SETTLED_S:
            self._seen[key] = sha256
        return sha256

    def save(self) -> None:
        """Keep what was seen, and what is known of folders that were not looked at."""
        folders = {folder for folder, *_ in self._seen}
        keep = {key: sha256 for key, sha256 in self._known.items() if key[0] not in folders} | self._seen
        if keep != self._known:
            rows: list[tuple[Any, ...]] = [(*key, sha256) for key, sha256 in sorted(keep.items())]
            table = pd.DataFrame(rows, columns=["folder", "path", "bytes", "mtime_ns", "sha256"])
            write_table(self.path, table, keys.code_version("hashes", None))
