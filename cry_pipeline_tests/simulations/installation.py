"""The corpus as simulations see it: what a finished installation has of an experiment.

Belongs here: reading features, folds and manifest of an installation; nothing is written into it. Does not: what is
simulated with them.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cry_pipeline.catalog import Catalog, ProtocolSpec, load_catalog
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.settings import Settings
from cry_pipeline.training.datasets import rows_of
from cry_pipeline.training.registry import implementation


class Seen(NamedTuple):
    """What a model on values sees of an experiment's recordings, in the order of their ids."""

    spec: Any
    values: NDArray
    codes: NDArray[np.int64]
    donors: NDArray
    table: pd.DataFrame
    """recording_id, donor, label."""
    folds: NDArray[np.int64]
    """The fold that tests each, ``[repeats, recordings]``."""
    classes: tuple[str, ...]
    protocol: ProtocolSpec


@dataclass(frozen=True)
class Installation:
    """A finished installation, as ``make run`` leaves one; ``workers`` processes may work for a simulation."""

    settings: Settings
    catalog: Catalog
    workers: int

    @classmethod
    def of(cls, settings: Settings) -> "Installation":
        """Return the installation in the settings' data folder."""
        return cls(settings, load_catalog(settings.catalog), settings.workers)

    @property
    def workspace(self) -> Workspace:
        """What assets would be given."""
        return Workspace.of(self.settings)

    def seen(self, experiment: str) -> Seen:
        """Return what the model of ``experiment``, one on values, sees."""
        of, workspace = self.catalog.experiments[experiment], self.workspace
        spec, folds = self.catalog.models[of.model], workspace.folds(of.folds_name)
        store, ids = workspace.store(self.catalog.feature_sets[of.feature_set]), sorted(set(folds["recording_id"]))
        features = store.read(ids, list(spec.inputs)) if spec.inputs else None
        classes = self.catalog.cohorts[of.cohort].classes
        rows = rows_of(folds, classes, features, workspace.recordings() if spec.metadata else None)
        model: Any = implementation(spec.kind)
        ordered = folds.sort_values(["repeat", "recording_id"])["fold"].to_numpy(np.int64)
        return Seen(
            spec,
            model.values(spec, rows),
            rows.codes,
            rows.table["donor"].to_numpy(str),
            rows.table[["recording_id", "donor", "label"]],
            ordered.reshape(-1, len(rows)),
            tuple(classes),
            self.catalog.protocols[of.protocol],
        )
