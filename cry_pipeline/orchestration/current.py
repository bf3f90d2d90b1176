"""What there is of an experiment now: its run, the folds that it was trained on, what its evidence rests on.

Belongs here: looking these up for the folds, parameters and features of now. Does not: evidence that is there
(found.py), and making any of it (assets/).
"""

from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Self

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.training.current_runs import NotTrainedError, RunReference, run_of_now
from cry_pipeline.training.run_keys import folds_digest

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.evaluation.findings import Shortcut
    from cry_pipeline.evaluation.records import Provenance


class Now:
    """What there is of a catalog's experiments at one moment: what several of them share is looked up once.

    Whoever looks later, at what may have been made meanwhile, makes another.
    """

    def __init__(self, catalog: Catalog, workspace: Workspace) -> None:
        self._catalog, self._workspace = catalog, workspace
        self.recordings = cache(lambda: workspace.recordings())
        self._folds = cache(lambda name: workspace.folds(name))
        self._digests: dict[tuple[str, frozenset[str]], str] = {}
        self._seen: dict[tuple[str, frozenset[str]], Seen] = {}
        self._trained: dict[str, tuple[RunReference, pd.DataFrame] | NotTrainedError] = {}

    def provenance_of(self, name: str) -> "Provenance":
        """Return what the evidence of experiment ``name`` rests on, given the folds and parameters of now.

        Raises:
            NotTrainedError: as :meth:`trained`.
        """
        from cry_pipeline.evaluation.records import Provenance
        from cry_pipeline.evaluation.retrained import null_digest

        catalog, experiment = self._catalog, self._catalog.experiments[name]
        run, folds = self.trained(name)
        rows = self._rows(name, run, folds)
        return Provenance.of(
            name,
            catalog,
            run_digest=run.digest,
            feature_digest=feature_digest_of(name, catalog),
            sources=rows.sources,
            null=null_digest(catalog.models[experiment.model], catalog.protocols[experiment.protocol], run.digest),
            told=rows.told,
            # A probe that has not been run is said to be missing; once it has, this is other evidence.
            shortcuts={
                shortcut: (probe, run_digest)
                for shortcut, probe in probe_experiments(name, catalog).items()
                if (run_digest := self._probed(probe, rows.recordings))
            },
        )

    def trained(self, name: str) -> "tuple[RunReference, pd.DataFrame]":
        """Return the run that there is of experiment ``name``, and the folds that it was trained on.

        Raises:
            NotTrainedError: there is none of the folds, parameters and features of now.
        """
        if name not in self._trained:
            self._trained[name] = self._looked_up(name)
        found = self._trained[name]
        if isinstance(found, NotTrainedError):
            raise found
        return found

    def _looked_up(self, name: str) -> "tuple[RunReference, pd.DataFrame] | NotTrainedError":
        catalog = self._catalog
        folds_name, features = catalog.experiments[name].folds_name, feature_digest_of(name, catalog)
        folds = self._folds(folds_name)

        def digest(run: RunReference, rows: "pd.DataFrame") -> str:
            key = folds_name, frozenset(run.left_out)
            if key not in self._digests:
                self._digests[key] = folds_digest(rows)
            return self._digests[key]

        try:
            return run_of_now(name, catalog, folds, self._workspace.settings.runs, features, digest)
        except NotTrainedError as error:
            return error

    def _rows(self, name: str, run: RunReference, folds: "pd.DataFrame") -> "Seen":
        key = self._catalog.experiments[name].folds_name, frozenset(run.left_out)
        if key not in self._seen:
            self._seen[key] = Seen.of(self.recordings(), folds)
        return self._seen[key]

    def _probed(self, probe: str, recordings: frozenset[str]) -> str | None:
        """Return the digest of a probe's run if it answers all of these rows; None if there is none."""
        try:
            run, answered = self.trained(probe)
        except NotTrainedError:
            return None
        return run.digest if recordings <= self._rows(probe, run, answered).recordings else None


class Seen(NamedTuple):
    """What the manifest tells of the rows of a run, for its evidence."""

    recordings: frozenset[str]
    """All that have a row, augmented copies among them."""
    sources: tuple[str, ...]
    told: str
    """The digest of :func:`cry_pipeline.evaluation.told.told_of`."""

    @classmethod
    def of(cls, recordings: "pd.DataFrame", folds: "pd.DataFrame") -> Self:
        """Return what ``recordings`` tell of those in ``folds``."""
        from cry_pipeline.evaluation.told import told_digest, told_of

        tested = recordings["recording_id"].isin(folds["recording_id"])
        sources = tuple(sorted(set(recordings.loc[tested, "source"])))
        return cls(frozenset(folds["recording_id"]), sources, told_digest(told_of(recordings, folds)))


def feature_digest_of(name: str, catalog: Catalog) -> str:
    """Return the digest of the feature set of experiment ``name``."""
    from cry_pipeline.features.kinds import feature_set_digest

    return feature_set_digest(catalog.feature_sets[catalog.experiments[name].feature_set])


def probe_experiments(name: str, catalog: Catalog) -> "dict[Shortcut, str]":
    """Return the experiments that probe a shortcut on the folds of experiment ``name``: models marked as its probe.

    Of several the one with the experiment's own seed is taken, then the first by name. Evidence that is made every
    day does not wait for a probe that only a study runs.
    """
    experiment = catalog.experiments[name]
    probes: dict[Shortcut, str] = {}
    for other, probe in sorted(
        catalog.experiments.items(), key=lambda item: (item[1].seed != experiment.seed, item[0])
    ):
        shortcut = catalog.models[probe.model].probe
        waits = probe.tier == "study" and experiment.tier != "study"
        if shortcut and probe.folds_name == experiment.folds_name and not waits:
            probes.setdefault(shortcut, other)
    return probes
