"""What the intake has seen in the inbox and left there: so that what is new is known, and a refusal stays what it was.

Belongs here: the ledger. Does not: refusing (intake.py), listing (sources.py). It is a cache: without it everything in
the inbox is new. By the digest of path and version an entry is found again; of who was withdrawn nothing else is kept.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cry_pipeline.corpus.schemas import INVENTORY
from cry_pipeline.digests import digest
from cry_pipeline.tables import Schema, sha256

LOG = logging.getLogger("cry_pipeline")
LEDGER = "intake.parquet"
LEFT = "taken, and it cannot be removed"
"""How the reason begins for which a file lies in the inbox although the archive has it."""

SEEN = Schema(
    "the intake's ledger",
    {"entry": sha256("digest of the path and of what changes when the file does"), **INVENTORY.columns},
    unique=["entry"],
)

Seen = Mapping[str, Mapping[str, Any]]
"""Rows of INVENTORY by their entry; of one that the archive has, ``refused`` is missing, and ``detail`` says why it
lies there."""


def entry_of(path: str, version: str) -> str:
    """Return by what a file of the inbox is found again: it is another one as soon as the file changes."""
    return digest(path=path, version=version)


def read_ledger(cache: Path, digest: str) -> Seen:
    """Return what was seen by the code that ``digest`` stands for; of other code's, or a damaged ledger, nothing."""
    table = SEEN.current(cache / LEDGER, digest)
    if table is None:
        return {}
    plain = table.astype(object).where(table.notna(), None)
    rows = [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]
    return {row.pop("entry"): row for row in rows}


def write_ledger(cache: Path, digest: str, rows: Seen) -> None:
    """Keep ``rows`` in place of what was there."""
    records: Sequence[dict[str, Any]] = [{"entry": entry, **row} for entry, row in sorted(rows.items())]
    SEEN.write(cache / LEDGER, SEEN.table_of(records), digest)
