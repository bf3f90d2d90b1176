"""Which audio files there are: the corpus' layout, the inbox, and the inventory of both.

Belongs here: which folders, the inventory, and finding a listed file again. Does not: walking (listing.py), hashing
(hashes.py), reading names (filenames.py) or audio (decoding.py).
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cry_pipeline.corpus.hashes import KeptHashes, settled
from cry_pipeline.corpus.listing import SIDECAR_MAX_BYTES, Found, LeftAside, SourceError, list_files
from cry_pipeline.corpus.paths import printable, unprintable
from cry_pipeline.corpus.reading import ChangedError, hash_regular, identity, read_regular
from cry_pipeline.corpus.refusals import Refusal
from cry_pipeline.corpus.schemas import INVENTORY
from cry_pipeline.digests import digest

LOG = logging.getLogger("cry_pipeline")

CLEANED = "donateacry_corpus_cleaned_and_updated_data"
LAYOUT = {
    CLEANED: ("donateacry_cleaned", "cleaned"),
    "donateacry-android-upload-bucket": ("donateacry_android", "raw"),
    "donateacry-ios-upload-bucket": ("donateacry_ios", "raw"),
}
CORPUS_NOTE = "corpus.json"
NAMED = 5
SECOND_LOOK_S = 0.1
"""How long a file that was written just now is watched, if there is one: who copies writes more often than that."""


class UnfinishedInventoryError(SourceError):
    """There was not time enough to hash all files; the message says how many are left."""


@dataclass(frozen=True)
class _Candidate:
    """A file that will be a row: its root, that root's printable path, source, processing, and what was found."""

    root: str
    home: str
    source: str
    processing: str
    found: Found


@dataclass(frozen=True)
class Roots:
    """The folders that recordings lie in: a corpus of the layout :data:`LAYOUT`, and the inbox for new donations."""

    corpus: Path
    inbox: Path | None = None

    def locate(self, root: str, path: str) -> Path:
        """Return the file at ``path``, relative to the root ``"corpus"`` or ``"inbox"``, with links resolved.

        ``path`` is as tables hold it: see paths.py.

        Raises:
            SourceError: there is no such root, or the path leads out of it.
        """
        base = {"corpus": self.corpus, "inbox": self.inbox}.get(root)
        if base is None:
            raise SourceError(f"{path}: there is no root {root!r} here")
        resolved = Path(os.path.realpath(base / unprintable(path)))
        if not resolved.is_relative_to(os.path.realpath(base)):
            raise SourceError(f"{path} leads out of {base}: put the file itself there, not a link to it")
        return resolved


def take_inventory(roots: Roots, cache: Path, budget_s: float | None = None) -> pd.DataFrame:
    """List every entry of the corpus and the inbox, and hash what can be a recording: INVENTORY, by root and path.

    A file that cannot be read, that should not be (a pipe, a link out of its root, more than MAX_BYTES) or whose
    sidecar cannot, is a row that says so in ``refused`` and ``detail``; none of them raises. What is no recording, or
    none yet (hidden, ``.part``, still being copied, a sidecar of nothing), is left aside.

    Hashes are kept in ``cache``. The table's ``attrs`` say how many were ``computed`` and ``reused``, and what was
    ``left_aside``: a list of root, path and why.

    Args:
        roots: the folders to look in.
        cache: folder for the hashes.
        budget_s: how long files may be hashed; at least one is. A call that is cut short is gone on with by the next.

    Raises:
        SourceError: a root cannot be listed. Never taken for an empty one.
        UnfinishedInventoryError: ``budget_s`` was not enough.
    """
    candidates, aside = _listed(roots)
    with KeptHashes(cache) as hashes:
        records = _look_again(candidates, list(_hashed(candidates, hashes, aside, budget_s)), aside)
    table = INVENTORY.table_of(records).sort_values(["root", "path"], ignore_index=True)
    table = INVENTORY.conforming(table)
    reused = int(table["sha256"].notna().sum()) - hashes.computed
    table.attrs = {"computed": hashes.computed, "reused": reused, "left_aside": aside}
    LOG.info("inventory: %d files, computed=%d reused=%d", len(table), hashes.computed, reused)
    _say_what_is_left_aside(aside)
    return table


def fingerprint(inventory: pd.DataFrame) -> str:
    """Return a sha256 over all an inventory says, whatever the order of its rows and wherever its roots lie."""
    rows = inventory.astype(object).where(inventory.notna(), None).to_numpy().tolist()
    return digest(columns=list(inventory.columns), rows=sorted(rows, key=lambda row: row[:2]))


def write_inventory(inventory: pd.DataFrame, path: Path) -> None:
    """Write ``inventory`` to ``path`` as Parquet, atomically, with its fingerprint as provenance."""
    INVENTORY.write(path, inventory, fingerprint(inventory))


def read_inventory(path: Path) -> pd.DataFrame:
    """Read and validate what :func:`write_inventory` wrote.

    Raises:
        FileNotFoundError: no inventory has been written there.
        TableError: the table is not an inventory.
    """
    return INVENTORY.read(path)


def _listed(roots: Roots) -> tuple[list[_Candidate], list[dict[str, str]]]:
    """Return what will be rows, and what is left aside, of all folders."""
    synthetic = _is_synthetic(roots.corpus)
    candidates, aside = [], []
    for root, folder, base, source, processing in _folders(roots, synthetic):
        home = printable(os.path.realpath(base))
        for entry in list_files(folder, base, sidecars=root == "inbox"):
            if isinstance(entry, LeftAside):
                aside.append({"root": root, "path": entry.path, "why": entry.why})
            elif root == "corpus" and entry.file.name == "README.md":
                aside.append({"root": root, "path": entry.path, "why": "about the corpus"})
            else:
                candidates.append(_Candidate(root, home, source, processing, entry))
    return candidates, aside


def _folders(roots: Roots, synthetic: bool) -> Iterator[tuple[str, Path, Path, str, str]]:
    """Yield (root, folder to walk, what its paths are relative to, source, processing)."""
    for name, (source, processing) in LAYOUT.items():
        yield "corpus", roots.corpus / name, roots.corpus, "synthetic" if synthetic else source, processing
    if roots.inbox is not None:
        yield "inbox", roots.inbox, roots.inbox, "inbox", "raw"


def _is_synthetic(corpus: Path) -> bool:
    note = corpus / CORPUS_NOTE
    try:
        content = json.loads(read_regular(note, SIDECAR_MAX_BYTES))
    except FileNotFoundError:
        return False
    except (OSError, ValueError, RecursionError) as error:
        raise SourceError(f"{note} cannot be read ({error}): generate the corpus again, or remove the file") from error
    if not isinstance(content, dict) or content.get("source") != "synthetic":
        raise SourceError(f'{note} must say {{"source": "synthetic"}}; a real corpus has no such file')
    return True


def _hashed(
    candidates: list[_Candidate], hashes: KeptHashes, aside: list[dict[str, str]], budget_s: float | None
) -> Iterator[dict[str, Any]]:
    """Yield a row of each file; one that changes or goes meanwhile is put ``aside``."""
    started = time.monotonic()
    for candidate in candidates:
        over = budget_s is not None and hashes.computed > 0 and time.monotonic() - started > budget_s
        if over and _is_unknown(candidate, hashes):
            left, files = sum(_is_unknown(other, hashes) for other in candidates), len(candidates)
            raise UnfinishedInventoryError(
                f"{files - left} of {files} files are hashed; the next look goes on from there"
            )
        try:
            yield _row(candidate, hashes)
        except (ChangedError, FileNotFoundError) as error:
            aside.append({"root": candidate.root, "path": candidate.found.path, "why": _why(error)})


def _is_unknown(candidate: _Candidate, hashes: KeptHashes) -> bool:
    """Return whether a file's row would need it to be read."""
    entry = candidate.found
    return (
        entry.status is not None
        and entry.refusal is None
        and not hashes.knows(candidate.home, entry.path, entry.status)
    )


def _why(error: OSError) -> str:
    return "being written" if isinstance(error, ChangedError) else "taken away while it was listed"


def _row(candidate: _Candidate, hashes: KeptHashes) -> dict[str, Any]:
    """Return the row of a file.

    Raises:
        ChangedError, FileNotFoundError: it, or its sidecar, is not what it was when it was listed.
    """
    entry, sidecar = candidate.found, candidate.found.sidecar
    sha256, told, refusal = None, None, entry.refusal
    if entry.status is not None and refusal is None:
        try:
            sha256 = hashes.of(candidate.home, entry.path, entry.file, entry.status)
            if sidecar is not None:
                told, refusal = _sidecar(sidecar, unprintable(candidate.home))
        except (ChangedError, FileNotFoundError):
            raise
        except OSError as error:
            refusal = Refusal("unreadable", f"It cannot be read: {error.strerror or error}.")
    return {
        "root": candidate.root,
        "path": entry.path,
        "source": candidate.source,
        "processing": candidate.processing,
        "bytes": entry.status.st_size if entry.status is not None else 0,
        "sha256": sha256,
        "sidecar": sidecar.path if sidecar is not None else None,
        "sidecar_sha256": told,
        "refused": refusal.reason if refusal is not None else None,
        "detail": refusal.detail if refusal is not None else None,
    }


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


def _look_again(
    candidates: list[_Candidate], records: list[dict[str, Any]], aside: list[dict[str, str]]
) -> list[dict[str, Any]]:
    """Return ``records`` less those of files that are being copied: written just now, and changing while one waits."""
    young = [item for item in candidates if item.found.status is not None and not settled(item.found.status)]
    if not young:
        return records
    time.sleep(SECOND_LOOK_S)
    changing = {(item.root, item.found.path) for item in young if _has_changed(item.found)}
    aside += [{"root": root, "path": path, "why": "being written"} for root, path in sorted(changing)]
    return [row for row in records if (row["root"], row["path"]) not in changing]


def _say_what_is_left_aside(aside: list[dict[str, str]]) -> None:
    """Log a line for each reason: this is done every minute, and there may be any number of entries."""
    for why in sorted({entry["why"] for entry in aside}):
        names = sorted(f"{entry['root']}/{entry['path']}" for entry in aside if entry["why"] == why)
        rest = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        LOG.info("inventory: left aside (%s): %s%s", why, ", ".join(names[:NAMED]), rest)


def _has_changed(entry: Found) -> bool:
    try:
        return entry.status is None or identity(entry.file.stat()) != identity(entry.status)
    except OSError:
        return True
