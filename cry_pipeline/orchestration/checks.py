"""Blocking checks: what must hold before anything downstream may run.

Belongs here: turning domain checks into Dagster's. Does not: the rules (schemas, stores and folds have them).
"""

import dagster as dg

from cry_pipeline.catalog import Catalog, FeatureSetSpec
from cry_pipeline.orchestration.assets.manifests import RECORDINGS
from cry_pipeline.orchestration.resources import Workspace


@dg.asset_check(asset=RECORDINGS, blocking=True, description="The manifest on disk is what its strict schema says.")
def schema(workspace: Workspace) -> dg.AssetCheckResult:
    """Read the manifest back and validate it."""
    from cry_pipeline.artefacts import DamagedFileError
    from cry_pipeline.corpus.schemas import TableError

    try:
        rows = len(workspace.recordings())
    except (DamagedFileError, TableError) as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    return dg.AssetCheckResult(passed=rows > 0, metadata={"rows": rows}, description=f"{rows} recordings")


def feature_checks(catalog: Catalog) -> list[dg.AssetChecksDefinition]:
    """Return the checks of all feature sets: finite, and covering the manifest."""
    return [
        check(name, spec) for name, spec in catalog.feature_sets.items() for check in (finite_check, coverage_check)
    ]


def finite_check(name: str, spec: FeatureSetSpec) -> dg.AssetChecksDefinition:
    """Return the check that every stored value of the feature set reads, with its checksum, as a finite number."""

    @dg.asset_check(
        asset=["features", name],
        name="finite",
        blocking=True,
        description="Every stored value can be read, its checksum is right, and it is a finite number.",
    )
    def finite(workspace: Workspace) -> dg.AssetCheckResult:
        from cry_pipeline.features.rows import FeatureStoreError

        store = workspace.store(spec)
        ids = sorted(store.recording_ids())
        try:
            for start in range(0, len(ids), 256):
                store.read(ids[start : start + 256], tuple(store.kinds))
        except FeatureStoreError as error:
            return dg.AssetCheckResult(passed=False, description=str(error))
        return dg.AssetCheckResult(passed=True, metadata={"recordings": len(ids)})

    return finite


def coverage_check(name: str, spec: FeatureSetSpec) -> dg.AssetChecksDefinition:
    """Return the check that every recording of the manifest has its features."""

    @dg.asset_check(
        asset=["features", name],
        name="coverage",
        additional_deps=[RECORDINGS],
        blocking=True,
        description="Every recording of the manifest has its features.",
    )
    def coverage(workspace: Workspace) -> dg.AssetCheckResult:
        wanted = workspace.recordings()["recording_id"].tolist()
        missing = workspace.store(spec).missing(wanted)
        return dg.AssetCheckResult(
            passed=not missing,
            metadata={"recordings": len(wanted), "missing": len(missing), "first missing": missing[:10]},
            description=f"{len(missing)} of {len(wanted)} recordings have no features" if missing else None,
        )

    return coverage


def donor_checks(catalog: Catalog) -> list[dg.AssetChecksDefinition]:
    """Return the checks of all folds of a grouped protocol, ``donor_grouped`` or ``temporal``."""
    names = {e.folds_name for e in catalog.experiments.values() if catalog.protocols[e.protocol].grouped}
    return [donor_check(name) for name in sorted(names)]


def donor_check(name: str) -> dg.AssetChecksDefinition:
    """Return the check that no donor is on the training and the test side of a fold."""

    @dg.asset_check(
        asset=["folds", name],
        name="donors_on_one_side",
        blocking=True,
        description="No donor is on both the training and the test side of a fold.",
    )
    def donors_on_one_side(workspace: Workspace) -> dg.AssetCheckResult:
        from cry_pipeline.folds.splitting import leaking_donors

        folds = workspace.folds(name)
        leaking = leaking_donors(folds)
        return dg.AssetCheckResult(
            passed=not leaking,
            metadata={"donors": int(folds["donor"].nunique()), "leaking": leaking[:20]},
            description=f"{len(leaking)} donors are on both sides" if leaking else None,
        )

    return donors_on_one_side
