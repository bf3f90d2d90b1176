"""The manifest in the form of Lhotse: recordings and supervisions, JSON lines in gzip, that name the files here.

Belongs here: what of a row becomes what there (https://lhotse.readthedocs.io). Does not: which rows (recordings.py).
Lhotse itself is not needed to write them.
"""

import gzip
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cry_pipeline.corpus.archive import path_of
from cry_pipeline.corpus.resolution import recorded_roots
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.publishing.recordings import Chosen, chosen, new_folder
from cry_pipeline.settings import Settings

RECORDINGS, SUPERVISIONS = "recordings.jsonl.gz", "supervisions.jsonl.gz"
CUSTOM = (
    *("donation_id", "reason", "kept", "judgement", "folder_label", "source", "processing", "platform", "app_version"),
    *("age_band", "consent_scope", "recorded_at", "codec", "rms_dbfs"),
)
"""Columns of the manifest that a supervision's ``custom`` holds, where they say something."""


def export_lhotse(settings: Settings, folder: Path, *, with_donations: bool = False) -> Chosen:
    """Write ``folder/recordings.jsonl.gz`` and ``folder/supervisions.jsonl.gz``; return what is in them.

    Each recording has one supervision of all its length; its speaker is the donor, which is an installation of the
    application and the group to split by. Files are named where they lie: with another corpus folder, export again.

    Raises:
        ExportError: something is in ``folder``, or no recording is left.
        FileNotFoundError, DamagedFileError, TableError, CorpusError: there is no manifest, or it is not what was
            written, or nothing says which corpus it is of.
    """
    told, roots = chosen(settings, with_donations=with_donations), recorded_roots(settings)
    rows = told.recordings.astype(object).where(told.recordings.notna(), None).to_dict("records")
    with new_folder(folder) as unfinished:
        _write(unfinished / RECORDINGS, (_recording(row, _source(row, roots)) for row in rows))
        _write(unfinished / SUPERVISIONS, map(_supervision, rows))
    return told


def _recording(row: Mapping[Any, Any], source: dict[str, str]) -> dict[str, Any]:
    channels = list(range(row["channels"]))
    return {
        "id": row["recording_id"],
        "sources": [{**source, "channels": channels}],
        "sampling_rate": row["sample_rate_hz"],
        "num_samples": row["samples"],
        "duration": row["duration_s"],
        "channel_ids": channels,
    }


def _supervision(row: Mapping[Any, Any]) -> dict[str, Any]:
    channels = list(range(row["channels"]))
    custom = {name: row[name] for name in CUSTOM if row[name] is not None}
    return {
        "id": row["recording_id"],
        "recording_id": row["recording_id"],
        "start": 0.0,
        "duration": row["duration_s"],
        "channel": channels if len(channels) > 1 else 0,
        "speaker": row["donor"],
        **({"gender": row["gender"]} if row["gender"] is not None else {}),
        "custom": custom | {"recorded_at": row["recorded_at"].isoformat()},
    }


def _source(row: Mapping[Any, Any], roots: Roots) -> dict[str, str]:
    """Return where a recording's bytes are: a file, or an address in a bucket."""
    archive = roots.archive
    if row["root"] == "archive" and archive is not None and "://" in archive.place:
        return {"type": "url", "source": f"{archive.place.rstrip('/')}/{path_of(row['recording_id'])}"}
    return {"type": "file", "source": str(roots.locate(row["root"], row["path"]).absolute())}


def _write(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write JSON lines in gzip; equal entries give equal bytes."""
    with path.open("wb") as file, gzip.GzipFile("", "wb", fileobj=file, mtime=0) as packed:
        for entry in entries:
            packed.write(json.dumps(entry, ensure_ascii=True).encode() + b"\n")
