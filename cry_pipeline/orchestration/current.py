"""What there is of an experiment now: its run, the folds that it was trained on, what its evidence rests on.

Belongs here: looking these up for the folds, parameters and features of now. Does not: evidence that is there
(found.py), and making any of it (assets/).
"""

from typing import TYPE_CHECKING

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.evaluation.findings import Shortcut
    from cry_pipeline.evaluation.records import Provenance
    from cry_pipeline.training.current_runs import RunReference


def provenance_of(name: str, catalog: Catalog, workspace: Workspace) -> "Provenance":
    """Return what the evidence of experiment ``name`` rests on, given the folds and parameters of now."""
    from cry_pipeline.evaluation.records import Provenance
    from cry_pipeline.evaluation.retrained import null_digest
    from cry_pipeline.evaluation.told import told_digest, told_of

    experiment = catalog.experiments[name]
    recordings = workspace.recordings()
    run, folds = trained(name, catalog, workspace)
    tested = recordings["recording_id"].isin(folds["recording_id"])
    return Provenance.of(
        name,
        catalog,
        run_digest=run.digest,
        feature_digest=feature_digest_of(name, catalog),
        sources=tuple(sorted(set(recordings.loc[tested, "source"]))),
        null=null_digest(catalog.models[experiment.model], catalog.protocols[experiment.protocol], run.digest),
        told=told_digest(told_of(recordings, folds)),
        # A probe that has not been run is said to be missing; once it has, this is other evidence.
        shortcuts={
            shortcut: (probe, run_digest)
            for shortcut, probe in probe_experiments(name, catalog).items()
            if (run_digest := _probed(probe, folds, catalog, workspace))
        },
    )


def trained(name: str, catalog: Catalog, workspace: Workspace) -> "tuple[RunReference, pd.DataFrame]":
    """Return the run that there is of experiment ``name``, and the folds that it was trained on.

    Raises:
        NotTrainedError: there is none of the folds, parameters and features of now.
    """
    from cry_pipeline.training.current_runs import run_of_now

    folds = workspace.folds(catalog.experiments[name].folds_name)
    return run_of_now(name, catalog, folds, workspace.settings.runs, feature_digest_of(name, catalog))


def _probed(probe: str, folds: "pd.DataFrame", catalog: Catalog, workspace: Workspace) -> str | None:
    """Return the digest of a probe's run if it answers all of these rows; None if there is none."""
    from cry_pipeline.training.current_runs import NotTrainedError

    try:
        run, answered = trained(probe, catalog, workspace)
    except NotTrainedError:
        return None
    return run.digest if set(folds["recording_id"]) <= set(answered["recording_id"]) else None


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
