"""Files that stages hand to each other: written whole or not at all, each with its provenance.

Belongs here: atomic writing, and the ``provenance.json`` that says by which digest a table is current.
Does not: what a table holds (its stage's schema says that).
"""

import hashlib
import io
import json
import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cry_pipeline import __version__
from cry_pipeline.table_digests import table_digest as table_digest

if TYPE_CHECKING:
    import pandas as pd

LOG = logging.getLogger("cry_pipeline")


class DamagedTableError(ValueError):
    """A table is not what was written, or nothing says what was; the message says what to do."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then put it in place: readers see old or new, never half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` to ``path`` as indented JSON, atomically."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def provenance_path(path: Path) -> Path:
    """Return where the provenance of the file at ``path`` lies: beside it, as ``<name>.provenance.json``."""
    return path.with_name(f"{path.name}.provenance.json")


def write_table(path: Path, table: "pd.DataFrame", digest: str, **inputs: Any) -> None:
    """Write ``table`` to ``path`` as Parquet with a provenance of its digest, inputs and sha256, atomically."""
    write_atomically(path, lambda temporary: table.to_parquet(temporary, index=False))
    provenance = {
        "digest": digest,
        "sha256": _sha256(path),
        "rows": len(table),
        "inputs": inputs,
        "cry_pipeline": __version__,
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    write_json(provenance_path(path), provenance)


def read_table(path: Path) -> "pd.DataFrame":
    """Read what :func:`write_table` wrote.

    Raises:
        FileNotFoundError: there is no table at ``path``.
        DamagedTableError: it is not, byte for byte, what was written.
    """
    import pandas as pd

    written = path.read_bytes()
    try:
        expected = json.loads(provenance_path(path).read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedTableError(
            f"{provenance_path(path)} cannot be read ({error}): materialize {path.stem} again"
        ) from error
    if hashlib.sha256(written).hexdigest() != expected:
        raise DamagedTableError(f"{path} is not what was written: materialize {path.stem} again")
    return pd.read_parquet(io.BytesIO(written))


def is_current(path: Path, digest: str) -> bool:
    """Return whether ``path`` was written under ``digest`` and is, byte for byte, what was written."""
    try:
        provenance = json.loads(provenance_path(path).read_text(encoding="utf-8"))
        return provenance["digest"] == digest and provenance["sha256"] == _sha256(path)
    except FileNotFoundError:
        return False
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        LOG.warning("%s cannot be read (%s): the table is made again", provenance_path(path), error)
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
