"""Files of the inventory → what is known of each by its name, or why it is refused before it is decoded.

Belongs here: names, sidecars, what the archive tells, twins. Does not: what a name means (filenames.py), what a file
holds (probing.py), the tables (manifest.py).
"""

import logging
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pandas as pd

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.corpus.archive import Archive, Donated, Kept, path_of, read_about
from cry_pipeline.corpus.decoding import AUDIO_SUFFIXES
from cry_pipeline.corpus.filenames import FilenameError, RecordingName, describe
from cry_pipeline.corpus.listing import SIDECAR_MAX_BYTES, SourceError
from cry_pipeline.corpus.probing import CHANGED
from cry_pipeline.corpus.reading import read_regular
from cry_pipeline.corpus.refusals import Refusal
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.digests import sha256_of
from cry_pipeline.storage.places import Folder

LOG = logging.getLogger("cry_pipeline")
ORDER = ("corpus", "archive", "inbox")
"""Of files with the same bytes the first counts: what is published before what is donated."""
ROWS_AT_ONCE = 20_000
"""Rows that are Python's objects at a time: those of an inventory of millions would take gigabytes."""
Row = dict[str, Any]
Named = tuple[Row, RecordingName]


def rows_of(inventory: pd.DataFrame) -> Iterator[Row]:
    """Yield the rows of INVENTORY, with None for what is missing, in the order in which the first of twins counts."""
    place = inventory["root"].map({root: place for place, root in enumerate(ORDER)})
    ordered = inventory.iloc[np.lexsort([inventory["path"].to_numpy(str), place.to_numpy()])]
    for start in range(0, len(ordered), ROWS_AT_ONCE):
        part = ordered.iloc[start : start + ROWS_AT_ONCE]
        for row in part.astype(object).where(part.notna(), None).to_dict("records"):
            yield {str(name): value for name, value in row.items()}


def sorted_out(rows: Sequence[Row], roots: Roots) -> tuple[list[Named], list[Row]]:
    """Return what :func:`sort_out` yields, in two lists: rows with what is told of them, and rows to quarantine."""
    named, quarantine = [], []
    for row, name in sort_out(rows, roots):
        if name is None:
            quarantine.append(row)
        else:
            named.append((row, name))
    return named, quarantine


def sort_out(
    rows: Iterable[Row], roots: Roots, twins: Container[str] | None = None
) -> Iterator[tuple[Row, RecordingName | None]]:
    """Yield each of ``rows`` with what is told of it, if it is worth decoding; with None, if it is to be quarantined.

    Each of the first has got its ``name``; each of the others ``reason`` and ``detail``, and that of a twin also
    ``twin``, the row that counts, ``donor``, ``same``, whether it was told the same, and ``unlike``, whether another
    reason or donor. ``twins`` are the sha256 that more than one row has, if that is known: no other row is remembered.
    """
    firsts: dict[str, Named] = {}
    told = _Telling(roots)
    for row in rows:
        name = _refused_by_name(row) or told.name_of(row)
        if isinstance(name, Refusal):
            yield row | asdict(name), None
        elif row["sha256"] in firsts:
            yield row | _twin(name, *firsts[row["sha256"]]), None
        else:
            if twins is None or row["sha256"] in twins:
                firsts[row["sha256"]] = row, name
            yield row, name


def _refused_by_name(row: Mapping[str, Any]) -> Refusal | None:
    suffix = PurePosixPath(row["path"]).suffix.lower()
    if row["refused"] is not None:
        return Refusal(row["refused"], row["detail"])
    if not row["bytes"]:
        return Refusal("empty", "The file has no bytes.")
    if row["root"] != "archive" and suffix not in AUDIO_SUFFIXES:
        return Refusal("not_audio", f"{suffix or 'no extension'} is not one of {' '.join(sorted(AUDIO_SUFFIXES))}.")
    return None


def _twin(name: RecordingName, first: Mapping[str, Any], other: RecordingName) -> Row:
    """Return reason and detail of a file with the bytes of another, and what is told otherwise of them."""
    told = ((other.reason, name.reason), (f"donor {other.donor}", f"donor {name.donor}"))
    unlike = [f", which says {there} where this one says {here}" for there, here in told if there != here]
    rest = [
        f"{field} {getattr(other, field)} where this one says {getattr(name, field)}"
        for field in RecordingName.model_fields
        if field not in ("donor", "reason_code") and getattr(other, field) != getattr(name, field)
    ]
    differs = f"; it says {', '.join(rest)}" if rest and first["root"] != "corpus" else ""
    place = first["name"] if first["root"] == "archive" else first["path"]
    detail = f"The file has the same bytes as {first['root']}/{place}{''.join(unlike)}{differs}."
    return asdict(Refusal("duplicate", detail)) | {
        "twin": first,
        "unlike": bool(unlike),
        "same": name == other,
        "donor": name.donor,
    }


class _Telling:
    """What is told of rows: by their names, by sidecars, and by the archive."""

    def __init__(self, roots: Roots) -> None:
        self._roots = roots
        self._listed: dict[str, Kept] | None = None

    def name_of(self, row: Row) -> RecordingName | Refusal:
        """Return what is told of ``row``, and put its ``name`` in it; or return why it is refused."""
        if row["root"] == "archive":
            about = self._about(row)
            if isinstance(about, Refusal):
                return about
            row["name"] = about.name
            return about.told
        row["name"] = PurePosixPath(row["path"]).name
        return _name(row, self._roots)

    def _about(self, row: Row) -> Donated | Refusal:
        """Return what the archive tells of a row that lies in it; refused is what it tells otherwise by now."""
        archive, recording_id = self._roots.archive, row["sha256"]
        kept = self._kept(archive, recording_id) if archive is not None else None
        if archive is None or kept is None:
            return CHANGED
        try:
            about = read_about(archive.about_file(kept), recording_id)
        except (DamagedFileError, OSError) as error:
            LOG.info("what the archive tells of a donation cannot be read any more: %s", error)
            return CHANGED
        return about if about.telling == row["sidecar_sha256"] else CHANGED

    def _kept(self, archive: Archive, recording_id: str) -> Kept | None:
        """Return where a donation lies: in a folder that is known; of a bucket a listing tells the version."""
        if isinstance(archive.files, Folder):
            return Kept(recording_id, path_of(recording_id), 0, "")
        if self._listed is None:
            self._listed = {kept.recording_id: kept for kept in archive.listing()}
        return self._listed.get(recording_id)


def _name(row: Row, roots: Roots) -> RecordingName | Refusal:
    name, content = PurePosixPath(row["path"]).name, None
    try:
        if row["sidecar_sha256"] is not None:
            content = read_regular(roots.locate(row["root"], row["sidecar"]), SIDECAR_MAX_BYTES)
            if sha256_of(content) != row["sidecar_sha256"]:
                return CHANGED
        roots.locate(row["root"], row["path"])
        return describe(name, content)
    except FilenameError as error:
        alone = f" There is no sidecar {name}.json, either." if content is None and row["root"] == "inbox" else ""
        return Refusal("odd_name", f"{error}.{alone}")
    except (OSError, SourceError) as error:
        LOG.info("%s or its sidecar cannot be read any more: %s", row["path"], error)
        return CHANGED
