"""Folds as work that can be handed to others: what a worker needs to train one, wherever it is.

Belongs here: what goes to a worker, and what it reads for itself. Does not: training a fold (fold_training.py), and
which folds there are to train (runs.py).
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cry_pipeline.catalog import Catalog
from cry_pipeline.engine import Engine, EngineError
from cry_pipeline.side_by_side import cores
from cry_pipeline.storage.root import DataRoot
from cry_pipeline.storage.tree import Content
from cry_pipeline.training import copies
from cry_pipeline.training.fold_folders import read_fold
from cry_pipeline.training.fold_training import FoldTraining, Key
from cry_pipeline.training.run_images import networks_of
from cry_pipeline.training.run_inputs import RunFeatures, reader_of, run_rows

if TYPE_CHECKING:
    from cry_pipeline.training.datasets import Rows
    from cry_pipeline.training.run_images import FeatureReader

Staged = dict[str, Content]
"""The files of a fold that lie in a data root's bucket and that no tree names yet; none of a fold in a folder."""


@dataclass(frozen=True)
class FoldWork:
    """The folds of one run, each of which a worker can train; ``read`` gives features, from wherever they are."""

    training: FoldTraining
    classes: tuple[str, ...]
    read: "FeatureReader | None"
    metadata: pd.DataFrame | None
    memory_mib: int
    root: DataRoot | None

    @classmethod
    def of(
        cls,
        training: FoldTraining,
        catalog: Catalog,
        features: RunFeatures,
        metadata: pd.DataFrame | None,
        memory_mib: int,
        root: DataRoot | None = None,
    ) -> "FoldWork":
        """Return the work of a run; nothing is read yet. ``root``: through which others' folds come here, if any."""
        model, experiment = training.model, training.experiment
        read = reader_of(features.arrays) if model.inputs else None
        if read is not None and copies.has_copies(training.folds):
            read = copies.copying(read, catalog.feature_sets[experiment.feature_set])
        classes = tuple(catalog.cohorts[experiment.cohort].classes)
        return cls(training, classes, read, metadata if model.metadata else None, memory_mib, root)

    def done_by(self, engine: Engine, keys: list[Key]) -> Iterator[tuple[Key, pd.DataFrame]]:
        """Yield each fold of ``keys`` with its predictions, once it is trained and in its folder.

        Raises:
            EngineError: a fold that a worker has trained is not to be seen here, or as :meth:`.Engine.map`.
        """
        gpus = 1 if networks_of(self.training.model) and self.training.settings.on_gpu else 0
        with self._function(engine) as train:
            for key, staged in engine.map(train, keys, gpus=gpus):
                if staged and self.root is not None:
                    self.root.commit(staged)
                    self.root.pull([_path(self.training, self.root, key)])
                folder = self.training.folder(key)
                if not folder.exists():
                    raise EngineError(
                        f"{folder} was trained on another machine and is not to be seen here: all nodes need the data "
                        "folder, at the same path, or a data root in a bucket (CRY_PIPELINE_DATA_ROOT)"
                    )
                yield key, read_fold(folder, self.training.digest)

    @contextmanager
    def _function(self, engine: Engine) -> Iterator[partial[Staged]]:
        if not engine.shares_memory:
            yield partial(_train if self.root is None else _train_for_root, self)
            return
        memory_mib = self.memory_mib // engine.size()
        with self._rows(memory_mib, self.training.run) as rows:
            yield partial(_train_on, self.training, rows)

    @contextmanager
    def _rows(self, memory_mib: int, scratch: Path) -> "Iterator[Rows]":
        """Give what all folds read; images that take more than ``memory_mib`` lie in ``scratch`` meanwhile."""
        training = self.training
        with run_rows(
            training.folds, self.classes, training.model, self.read, self.metadata, memory_mib, scratch
        ) as rows:
            yield rows

    def rows_here(self) -> "Rows":
        """Return what all folds read, as it was read in this process for the fold before, or now."""
        if self.training.digest not in _rows_here:
            _rows_here.clear()
            # Its other processes, as many as it has cores, may do the same.
            with self._rows(self.memory_mib // cores(), Path(tempfile.gettempdir())) as rows:
                # A file that images are mapped from is removed then, and stays for who has mapped it.
                _rows_here[self.training.digest] = rows
        return _rows_here[self.training.digest]


_rows_here: "dict[str, Rows]" = {}
"""On a worker: the rows of the run whose folds it trains, by the run's digest."""


def _train(work: FoldWork, key: Key) -> Staged:
    run = work.training.run
    if not run.is_dir():
        raise EngineError(
            f"{run} is not there on this node: all nodes need the data folder, at the same path, or a data root in a "
            "bucket (CRY_PIPELINE_DATA_ROOT)"
        )
    return _train_on(work.training, work.rows_here(), key)


def _train_on(training: FoldTraining, rows: "Rows", key: Key) -> Staged:
    training.train(rows, key)
    return {}


def _train_for_root(work: FoldWork, key: Key) -> Staged:
    """Train a fold in a folder of this node's own, and put its files where no tree names them yet."""
    assert work.root is not None  # noqa: S101 - the caller's choice
    with tempfile.TemporaryDirectory() as scratch:
        here = replace(work.root, folder=Path(scratch))
        run = here.folder / work.training.run.relative_to(work.root.folder)
        run.mkdir(parents=True)
        # Learning curves are of the node that shows them, and no artefact.
        training = replace(work.training, run=run, settings=replace(work.training.settings, curves=None))
        training.train(work.rows_here(), key)
        return here.stage([_path(training, here, key)])


def _path(training: FoldTraining, root: DataRoot, key: Key) -> str:
    return training.folder(key).relative_to(root.folder).as_posix()
