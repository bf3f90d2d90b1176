"""Recordings that a feature set has no features of, and why.

Belongs here: the record of them beside the parts. Does not: finding out (extraction.py), what it says of a manifest
(coverage.py), and what to do about it (those who read features).

A failure is of a row, so a decoder that gives other samples of a file starts anew. It is no verdict for ever either:
whoever computes what is missing tries failed recordings again, and the record then holds what came of it.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from cry_pipeline.catalog import digest
from cry_pipeline.features.store.rows import RowKey

if TYPE_CHECKING:
    from cry_pipeline.features.store.storage import Storage

LOG = logging.getLogger("cry_pipeline")
FAILURES = "failures.json"
FORMAT = 1


def read_failures(storage: "Storage") -> dict[RowKey, str]:
    """Return the reason by row; a record that is not what was written is said, and counts as none."""
    failures = _read(storage)
    if failures is None:
        LOG.warning("feature store %s: %s is not what was written, and is taken for empty", storage.uri, FAILURES)
    return failures or {}


def mend_failures(storage: "Storage") -> bool:
    """Empty the record where it is not what was written; return whether that was so."""
    damaged = _read(storage) is None
    if damaged:
        _write(storage, {})
    return damaged


def note_failures(storage: "Storage", tried: Iterable[RowKey], failed: Mapping[RowKey, str]) -> None:
    """Record that of the rows ``tried`` those in ``failed`` cannot be made, and the others can."""
    before = read_failures(storage)
    tried = set(tried)
    after = {key: reason for key, reason in before.items() if key not in tried} | dict(failed)
    if after != before:
        _write(storage, after)


def forget_failures(storage: "Storage", rows: Iterable[RowKey]) -> None:
    """Take ``rows`` out of the record: their recordings were withdrawn."""
    note_failures(storage, rows, {})


def _read(storage: "Storage") -> dict[RowKey, str] | None:
    """Return the reason by row; None where the record is not what was written."""
    try:
        content = json.loads(storage.read(FAILURES))
        rows = [(str(recording), str(samples), str(reason)) for recording, samples, reason in content["failed"]]
        intact = content["format"] == FORMAT and content["sha256"] == _checksum(rows)
    except FileNotFoundError:
        return {}
    except (ValueError, TypeError, LookupError):
        return None
    return {(recording, samples): reason for recording, samples, reason in rows} if intact else None


def _write(storage: "Storage", failures: Mapping[RowKey, str]) -> None:
    rows = [(*key, reason) for key, reason in sorted(failures.items())]
    content = {"format": FORMAT, "failed": rows, "sha256": _checksum(rows)}
    storage.replace(FAILURES, (json.dumps(content, indent=2) + "\n").encode())


def _checksum(rows: list[tuple[str, str, str]]) -> str:
    return digest(format=FORMAT, failed=rows)
