"""Which recordings are told of to others, and the folder that they are told of in.

Belongs here: who is left out and why, and writing a folder whole. Does not: the forms (croissant.py, lhotse.py).
"""

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cry_pipeline.artefacts import make_folder, sync
from cry_pipeline.corpus.cohorts import DONATED
from cry_pipeline.corpus.manifest import read_recordings
from cry_pipeline.corpus.tombstones import read_tombstones
from cry_pipeline.settings import Settings

KEPT_ONLY = "archive"
"""What a donor agreed to who agreed to no more than that the recording is kept."""


class ExportError(RuntimeError):
    """Nothing can be exported as asked; the message says what to do."""


@dataclass(frozen=True)
class Chosen:
    """``recordings`` (RECORDINGS) that others are told of, and by the reason how many were ``left_out``."""

    recordings: pd.DataFrame
    left_out: dict[str, int]

    @property
    def sentence(self) -> str:
        """How many are told of, and who is not."""
        left_out = "".join(f"; left out: {count} {why}" for why, count in self.left_out.items())
        return f"{len(self.recordings)} recordings of {self.recordings['donor'].nunique()} donors{left_out}."


def chosen(settings: Settings, *, with_donations: bool) -> Chosen:
    """Return the recordings of the manifest that others are told of.

    Donations are only where that is asked for: a donor who agreed that this pipeline learns from a recording has not
    agreed that others are told of it. A recording that may only be kept is never. What was refused is in no manifest,
    and what was withdrawn is not told of even where a copy of the manifest was put back that still has it.

    Raises:
        FileNotFoundError, DamagedFileError, TableError: there is no manifest, or it is not what was written.
        ExportError: none is left.
    """
    table = read_recordings(settings.manifests / "recordings.parquet")
    stones = read_tombstones(settings.withdrawn, settings.secret)
    pairs = zip(table["recording_id"], table["donor"], strict=True)
    rules = {
        "withdrawn": pd.Series([stones.of(recording, donor) is not None for recording, donor in pairs], table.index),
        "that may only be kept": table["consent_scope"].eq(KEPT_ONLY).fillna(value=False).astype(bool),
    }
    if not with_donations:
        rules["donations (--with-donations takes them)"] = table["source"] == DONATED
    left_out: dict[str, int] = {}
    for why, holds in rules.items():
        gone = holds.reindex(table.index)
        if gone.any():
            left_out[why] = int(gone.sum())
            table = table[~gone]
    if table.empty:
        said = "; ".join(f"{count} {why}" for why, count in left_out.items())
        raise ExportError(f"no recording is left to tell of ({said or 'the manifest is empty'})")
    return Chosen(table.reset_index(drop=True), left_out)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give a folder to fill that becomes ``folder`` when all is well; else nothing is left of it.

    Raises:
        ExportError: something is in ``folder``.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ExportError(f"{folder} is not empty: name a folder that is, or that does not exist yet")
    whole = folder.absolute()
    make_folder(whole.parent)
    unfinished = whole.with_name(f".{whole.name}.{uuid.uuid4().hex}.tmp")
    make_folder(unfinished)
    try:
        yield unfinished
        unfinished.rename(whole)
        sync(whole.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
