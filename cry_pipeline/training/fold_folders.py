"""One trained fold on disk: a folder that is there whole or not at all.

Belongs here: writing, checking and reading ``fold-<repeat>-<fold>/``. Does not: training it (runs.py).
"""

import csv
import io
import logging
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cry_pipeline.artefacts import read_json, read_plain, sync, write_json
from cry_pipeline.digests import sha256_of
from cry_pipeline.training.models import Epoch, FittedModel

LOG = logging.getLogger("cry_pipeline")

CHECKPOINT = "checkpoint.safetensors"
HISTORY = "history.csv"
PREDICTIONS = "predictions.parquet"
PROVENANCE = "provenance.json"


class DamagedFoldError(RuntimeError):
    """A fold's folder is not what its provenance says; the message names the file and the difference."""


def write_fold(folder: Path, fitted: FittedModel, predictions: pd.DataFrame, provenance: dict[str, Any]) -> None:
    """Write the four files beside ``folder``, then let them appear there by one rename.

    ``provenance`` needs a ``digest``; size and sha256 of the other files are added to it. Where another process has
    meanwhile finished the same fold, its files stay: equal digests are equal work.
    """
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
        # The folder that appears must not be the context manager's own, which is removed at the end.
        new = Path(temporary) / folder.name
        new.mkdir()
        fitted.save(new / CHECKPOINT)
        _write_history(new / HISTORY, fitted.history)
        predictions.to_parquet(new / PREDICTIONS, index=False)
        files = {name: _describe(read_plain(new / name)) for name in (CHECKPOINT, HISTORY, PREDICTIONS)}
        write_json(new / PROVENANCE, {**provenance, "files": files})
        for path in (*(new / name for name in files), new):
            sync(path)
        try:
            new.rename(folder)
        except OSError:
            read_fold(folder, provenance["digest"])
    sync(folder.parent)


def read_fold(folder: Path, digest: str) -> pd.DataFrame:
    """Return the fold's predictions, having checked every file.

    Raises:
        DamagedFoldError: a file is missing, unreadable, or differs from what was written, or the fold belongs to
            another digest.
    """
    provenance = read_provenance(folder)
    if provenance.get("digest") != digest:
        raise DamagedFoldError(f"{folder / PROVENANCE} is of run {provenance.get('digest')}, not of {digest}")
    try:
        for name in (CHECKPOINT, HISTORY, PREDICTIONS):
            if provenance["files"][name] != _describe(content := read_plain(folder / name)):
                raise DamagedFoldError(f"{folder / name} differs from what was written")
        predictions = pd.read_parquet(io.BytesIO(content))
        places = predictions[["repeat", "fold"]].drop_duplicates().to_numpy().tolist()
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedFoldError(f"{folder} cannot be read: {type(error).__name__}: {error}") from error
    if [f"fold-{repeat}-{fold}" for repeat, fold in places] != [folder.name]:
        raise DamagedFoldError(f"{folder} holds predictions of the folds (repeat, fold) {places}")
    return predictions


def read_provenance(folder: Path) -> dict[str, Any]:
    """Return the fold's ``provenance.json``; raises DamagedFoldError where it is not what was written."""
    try:
        return read_json(folder / PROVENANCE, "the fold has to be trained again")
    except (OSError, ValueError) as error:
        raise DamagedFoldError(f"{folder / PROVENANCE} cannot be read: {type(error).__name__}: {error}") from error


def seconds_of_folds(run: Path) -> float:
    """Return how long the folds of the run in this folder took to train, in seconds, whenever that was."""
    return sum(float(read_provenance(path.parent).get("seconds", 0)) for path in run.glob(f"fold-*/{PROVENANCE}"))


def reusable(folder: Path, digest: str) -> pd.DataFrame | None:
    """Return the predictions of a fold trained before; None where there is none. A damaged one is said and removed."""
    if not folder.exists() and not folder.is_symlink():  # a link that leads nowhere is in the way
        return None
    try:
        return read_fold(folder, digest)
    except DamagedFoldError as error:
        LOG.warning("A fold trained before is damaged and is trained again: %s", error)
        if folder.is_dir() and not folder.is_symlink():
            shutil.rmtree(folder)
        else:
            folder.unlink()
        return None


def _write_history(path: Path, history: Sequence[Epoch]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Epoch._fields)
        writer.writerows(history)


def _describe(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": sha256_of(content)}
