"""Which files of recordings an installation knows, and whose they are: by its tables, archive, inbox and corpus.

Belongs here: gathering them from all of these places, and reading their bytes. Does not: what of it is a trace of
somebody (traces.py).
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cry_pipeline.artefacts import read_table
from cry_pipeline.corpus.archive import Archive, path_of
from cry_pipeline.corpus.download import CorpusError
from cry_pipeline.corpus.listing import SIDECAR, SIDECAR_MAX_BYTES, Found, list_files
from cry_pipeline.corpus.paths import printable, unprintable
from cry_pipeline.corpus.probing import PROBES
from cry_pipeline.corpus.resolution import read_resolution
from cry_pipeline.corpus.sources import LAYOUT
from cry_pipeline.digests import sha256_of, sha256_of_file
from cry_pipeline.settings import Settings
from cry_pipeline.storage.places import open_place

UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class File:
    """A file as some table or place knows it; whatever is not known of it is None.

    ``root`` and ``path`` are as in tables; ``path`` is none where only its bytes are known. ``hashes`` are those of its
    samples and of its sidecar.
    """

    root: str
    path: str | None
    recording_id: str | None = None
    donor: str | None = None
    name: str | None = None
    donation: str | None = None
    hashes: tuple[str, ...] = ()

    @property
    def names(self) -> set[str]:
        """What the file is called, here and there."""
        return {name for name in (self.name, PurePosixPath(self.path).name if self.path else None) if name}

    @property
    def places(self) -> list[tuple[str, str]]:
        """Its root and path, where it can be found at them."""
        return [(self.root, self.path)] if self.root in ("corpus", "inbox") and self.path else []


def known_files(settings: Settings) -> Iterator[File]:
    """Yield every file that tables, archive, inbox and corpus know; one file may come more than once.

    Raises:
        SourceError, OSError: archive, inbox or corpus cannot be listed.
        DamagedFileError: a table is not what was written.
    """
    yield from _in_tables(settings)
    for row in Archive.open(settings.archive, settings.cache).read().to_dict("records"):
        yield File("archive", row["origin"], row["recording_id"], row["donor"], row["name"])
    yield from _in_inbox(settings)
    yield from _in_corpus(settings)


def contents(settings: Settings, ids: Iterable[str], places: Iterable[tuple[str, str]]) -> Iterator[bytes]:
    """Yield the bytes of the recordings ``ids`` of the archive, and of the files at root and path, that are there."""
    archive, inbox, corpus = open_place(settings.archive), open_place(settings.inbox_place), corpus_of(settings)
    for name in ids:
        try:
            yield archive.read(path_of(name))
        except FileNotFoundError:
            continue
    for root, path in places:
        try:
            if root == "inbox" and not _is_sidecar(path):
                yield inbox.read(unprintable(path))
            elif root == "corpus" and corpus is not None:
                yield (corpus / unprintable(path)).read_bytes()
        except FileNotFoundError:
            continue


def corpus_of(settings: Settings) -> Path | None:
    """Return the corpus that was used last; None where there was none, or it is gone."""
    try:
        corpus = read_resolution(settings.manifests).path
    except CorpusError:
        corpus = settings.corpus_folder
    return corpus if corpus is not None and corpus.is_dir() else None


def _in_tables(settings: Settings) -> Iterator[File]:
    for row in _rows(settings.manifests / "recordings.parquet"):
        about = {key: row.get(key) for key in ("recording_id", "donor", "name")}
        yield File(row["root"], row["path"], **about, donation=row["donation_id"], hashes=(row["samples_digest"],))
    for table in ("inventory", "quarantine"):
        for row in _rows(settings.manifests / f"{table}.parquet"):
            told = (row["sidecar_sha256"],) if row.get("sidecar_sha256") else ()
            yield File(row["root"], row["path"], row["sha256"], _donor_in(row["path"]), hashes=told)
    for row in _rows(settings.cache / PROBES):
        if row["samples_digest"]:
            yield File("cache", None, row["sha256"], hashes=(row["samples_digest"],))


def _in_inbox(settings: Settings) -> Iterator[File]:
    place = open_place(settings.inbox_place)
    entries = {entry.path: entry.bytes for entry in place.entries()}
    sidecars = {path for path, size in entries.items() if _is_sidecar(path) and size <= SIDECAR_MAX_BYTES}
    texts = {path: place.read(path) for path in sidecars}
    orphans = set(sidecars)
    for path in entries.keys() - sidecars:
        content = sha256_of(place.read(path))
        beside = sidecars & {path + SIDECAR, str(PurePosixPath(path).with_suffix(SIDECAR))}
        orphans -= beside
        said = " ".join([path, *(texts[name].decode(errors="replace") for name in beside)])
        donors = {found.lower() for found in UUID.findall(said)} or {None}
        for donor in donors:
            yield File(
                "inbox", printable(path), content, donor, hashes=tuple(sha256_of(texts[name]) for name in beside)
            )
            yield from (File("inbox", printable(name), content, donor) for name in beside)
    for path in orphans:
        yield File("inbox", printable(path), None, _donor_in(f"{texts[path].decode(errors='replace')} {path}"))


def _in_corpus(settings: Settings) -> Iterator[File]:
    corpus = corpus_of(settings)
    if corpus is None:
        return
    listed = _rows(settings.manifests / "inventory.parquet")
    known = {row["path"]: row["sha256"] for row in listed if row["root"] == "corpus"}
    for folder in (corpus / name for name in LAYOUT):
        for entry in list_files(folder, corpus, sidecars=False) if folder.is_dir() else ():
            if isinstance(entry, Found) and entry.status is not None:
                content = known.get(entry.path) or sha256_of_file(entry.file)
                yield File("corpus", entry.path, content, _donor_in(entry.path))


def _rows(path: Path) -> list[dict[Any, Any]]:
    """Return the rows of a table, whatever version wrote it; none where there is none."""
    try:
        table = read_table(path)
    except FileNotFoundError:
        return []
    return table.astype(object).where(table.notna(), None).to_dict("records")


def _is_sidecar(path: str) -> bool:
    return path.lower().endswith(SIDECAR)


def _donor_in(text: str) -> str | None:
    found = UUID.search(text)
    return found[0].lower() if found else None
