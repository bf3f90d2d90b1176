"""Files that name what is withdrawn → without it: recordings and sidecars, judgements, tables, caches, pages.

Belongs here: what becomes of a file, by the folder that it lies in. Does not: models and what is made of them
(withdrawn_results.py), features (features/store/), Dagster's records (orchestration/).

What can be made again goes whole; what cannot, or only at great cost, loses the rows that tell. A file of nobody's is
left, and the search says that it is there.
"""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cry_pipeline.artefacts import (
    LEFTOVER,
    DamagedFileError,
    provenance,
    read_json,
    read_table,
    write_json,
    write_table,
)
from cry_pipeline.corpus.archive import Archive, path_of
from cry_pipeline.corpus.paths import unprintable
from cry_pipeline.donations.byte_search import Needles, found_in, search_folder
from cry_pipeline.donations.known_files import corpus_of
from cry_pipeline.donations.samples import FOLDER
from cry_pipeline.donations.traces import Traces
from cry_pipeline.inference.champions import POINTER
from cry_pipeline.settings import Settings
from cry_pipeline.storage.places import Folder, open_place


@dataclass(frozen=True)
class Item:
    """A place that holds something of what is withdrawn, and what becomes of it."""

    place: str
    what: str


def from_places(settings: Settings, traces: Traces, *, change: bool) -> Iterator[Item]:
    """Yield the recordings in archive, inbox, and a corpus of our own; with ``change`` each is removed by then."""
    archive = Archive.open(settings.archive, settings.cache)
    there = {entry.path for entry in open_place(settings.archive).entries()}
    for recording in traces.recordings:
        if not there.isdisjoint({path_of(recording), f"{path_of(recording)}.json"}):
            if change:
                archive.remove(recording)
            yield Item(f"{settings.archive}/{path_of(recording)}", "recording removed")
    inbox, corpus = open_place(settings.inbox_place), corpus_of(settings)
    for root, path in traces.files:
        if root == "inbox":
            if change:
                inbox.remove(unprintable(path))
                if isinstance(inbox, Folder):
                    _remove_emptied((inbox.folder / unprintable(path)).parent, inbox.folder)
            yield Item(f"{settings.inbox_place}/{path}", "recording or sidecar removed")
        elif corpus is not None and corpus.is_relative_to(settings.corpora):
            if change:
                (corpus / unprintable(path)).unlink(missing_ok=True)
            yield Item(f"{corpus}/{path}", "recording removed")


def in_files(settings: Settings, traces: Traces, gone: Collection[Path], *, change: bool) -> Iterator[Item]:
    """Yield the files of the data folder that tell of ``traces``; with ``change`` they do so no more.

    Args:
        settings: of the installation.
        traces: what is searched for.
        gone: files and folders that are told of already.
        change: whether anything is done.
    """
    apart = {*gone, settings.withdrawn, settings.dagster_home, settings.corpora, settings.data / "features"}
    apart |= {settings.corpus_copy, settings.corpus_copy.with_suffix(".json")}
    apart |= {Path(place) for place in (settings.archive, settings.inbox_place, settings.features)}
    found = {Path(hit.place) for hit in search_folder(settings.data, traces.find, lambda path: path in apart)}
    for path in sorted(found):
        what = _treated(settings, path, traces.find, change)
        if what is not None:
            yield Item(path.relative_to(settings.data).as_posix(), what)


def _treated(settings: Settings, path: Path, find: Needles, change: bool) -> str | None:
    """Do what is to be done about a file, and return it in words; None where it is nobody's."""
    home, copies = next(iter(path.relative_to(settings.data).parts)), settings.inbox  # of an inbox in a bucket
    if path.is_dir():
        if change:
            _remove_emptied(path, settings.data)
        return "removed once it is empty"
    if home in ("manifests", "cache", "donations") and path.suffix == ".parquet":
        return _without_rows(path, find, change)
    noted = path.parent in (settings.judgements / FOLDER, settings.models) or path == copies.with_suffix(".json")
    if noted and path.name != POINTER:
        return _without_entries(path, find, change)
    derived = ("manifests", "cache", "donations", "judgements", "folds", "reports", "evidence", "runs")
    if not (home in derived or path.is_relative_to(copies) or LEFTOVER.fullmatch(path.name)):
        return None
    if change:
        path.unlink(missing_ok=True)
    return "removed"


def _remove_emptied(folder: Path, root: Path) -> None:
    """Remove ``folder`` and those above it, below ``root``, as far as nothing is in them: their names may tell, too."""
    while folder != root and folder.is_relative_to(root) and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _without_rows(path: Path, find: Needles, change: bool) -> str:
    """Write a table anew without the rows that tell, under the digest that it has."""
    try:
        table, about = read_table(path), provenance(path)
    except DamagedFileError:
        if change:
            path.unlink(missing_ok=True)
        return "removed, it is damaged"
    rows = ["\n".join(map(str, row)).encode("utf-8", "surrogatepass") for row in table.itertuples(index=False)]
    telling = [bool(find(row)) for row in rows]
    if change:
        kept = table[[not tells for tells in telling]].reset_index(drop=True)
        kept.attrs = {} if find(json.dumps(table.attrs).encode()) else table.attrs
        inputs = {} if find(json.dumps(about["inputs"]).encode()) else about["inputs"]
        write_table(path, kept, about["digest"], **inputs)
    return f"{sum(telling)} of {len(table)} rows taken out"


def _without_entries(path: Path, find: Needles, change: bool) -> str:
    """Write a JSON file anew without the entries of its lists that tell; one that tells elsewhere goes whole."""
    try:
        content = _pruned(read_json(path), find)
    except (DamagedFileError, ValueError):
        content = None
    whole = content is None or bool(found_in(json.dumps(content).encode(), find))
    if change and whole:
        path.unlink(missing_ok=True)
    elif change and content is not None:
        write_json(path, content)
    return "removed" if whole else "entries taken out"


def _pruned(value: Any, find: Needles) -> Any:
    if isinstance(value, dict):
        return {key: _pruned(each, find) for key, each in value.items() if not find(key.encode())}
    if isinstance(value, list):
        return [each for each in value if not found_in(json.dumps(each).encode(), find)]
    return value
