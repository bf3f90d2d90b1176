"""Checks: what must hold before anything downstream may run, and what a person is to be told.

Belongs here: turning domain checks into Dagster's. Does not: the rules (schemas, stores and folds have them).

A check that finds damage fails with a sentence, it does not raise: a check that raised is one that Dagster takes as not
yet done, and it says nothing where people look.
"""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import dagster as dg
import pandas as pd

from cry_pipeline.catalog import Catalog, FeatureSetSpec
from cry_pipeline.orchestration.asset_keys import QUARANTINE, RECORDINGS
from cry_pipeline.orchestration.extraction import computed
from cry_pipeline.orchestration.reporting import table
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.features.store.store import FeatureStore

LOG = logging.getLogger("cry_pipeline")
READ_AT_ONCE = 256
NAMED = 20
"""Refused donations, or recordings without features, that are named one by one."""


def told(check: Callable[[], dg.AssetCheckResult]) -> dg.AssetCheckResult:
    """Return what ``check`` finds; whatever it cannot read is a failure, with the sentence that says so."""
    try:
        return check()
    except (ValueError, RuntimeError, OSError) as error:
        LOG.warning("a check could not be done", exc_info=True)
        return dg.AssetCheckResult(passed=False, description=str(error))


@dg.asset_check(asset=RECORDINGS, blocking=True, description="The manifest on disk is what its strict schema says.")
def schema(workspace: Workspace) -> dg.AssetCheckResult:
    """Read the manifest back and validate it."""

    def check() -> dg.AssetCheckResult:
        rows = len(workspace.recordings())
        return dg.AssetCheckResult(passed=rows > 0, metadata={"rows": rows}, description=f"{rows} recordings")

    return told(check)


@dg.asset_check(asset=QUARANTINE, description="No donation was refused; which were, and why.")
def donations_taken(workspace: Workspace) -> dg.AssetCheckResult:
    """Warn of refused donations: whoever gave them is waiting for nothing."""
    from cry_pipeline.corpus.manifest import read_quarantine

    def check() -> dg.AssetCheckResult:
        refused = read_quarantine(workspace.settings.manifests / "quarantine.parquet")
        refused = refused[refused["root"].isin(["inbox", "archive"])]
        counts = refused["reason"].value_counts()
        said = ", ".join(f"{number} {reason}" for reason, number in counts.items())
        return dg.AssetCheckResult(
            passed=refused.empty,
            severity=dg.AssetCheckSeverity.WARN,
            metadata={"refused": len(refused), "files": table(refused[["path", "reason", "detail"]].head(NAMED))},
            description=f"{len(refused)} donations are refused: {said}" if len(refused) else None,
        )

    return told(check)


def feature_checks(catalog: Catalog) -> list[dg.AssetChecksDefinition]:
    """Return the checks of all feature sets: finite, covering the manifest, and which recordings were left out."""
    kinds = (finite_check, coverage_check, featurized_check)
    return [check(name, spec) for name, spec in catalog.feature_sets.items() for check in kinds]


def finite_check(name: str, spec: FeatureSetSpec) -> dg.AssetChecksDefinition:
    """Return the check that every stored value of the feature set reads, with its checksum, as a finite number.

    What only reading finds, such as a flipped bit, is found here, before anything is made of it: such parts are set
    aside, and their rows are computed anew.
    """

    @dg.asset_check(
        asset=["features", name],
        name="finite",
        blocking=True,
        description="Every stored value can be read, its checksum is right, and it is a finite number. Parts of which "
        "that is not so are set aside, and their rows are computed anew.",
    )
    def finite(workspace: Workspace) -> dg.AssetCheckResult:
        from cry_pipeline.features.store.checking import verify
        from cry_pipeline.features.store.rows import FeatureStoreError

        def check() -> dg.AssetCheckResult:
            try:
                return dg.AssetCheckResult(passed=True, metadata={"recordings": _read_all(workspace.store(spec))})
            except FeatureStoreError as error:
                LOG.warning("features/%s: %s", name, error)
                faults = verify(workspace.store(spec)).faults
            ((store, report),) = computed([spec], workspace.recordings(), workspace)
            return dg.AssetCheckResult(
                passed=True,
                metadata={"recordings": _read_all(store), "computed": report.computed, "set aside": faults},
                description=f"{len(faults)} damaged parts were set aside; {report.computed} rows computed anew",
            )

        return told(check)

    return finite


def _read_all(store: "FeatureStore") -> int:
    """Read every value of a store of the manifest; return how many recordings have any."""
    ids = sorted(store.recording_ids())
    for start in range(0, len(ids), READ_AT_ONCE):
        store.read(ids[start : start + READ_AT_ONCE], tuple(store.kinds))
    return len(ids)


def coverage_check(name: str, spec: FeatureSetSpec) -> dg.AssetChecksDefinition:
    """Return the check that every recording of the manifest has its features."""

    @dg.asset_check(
        asset=["features", name],
        name="coverage",
        additional_deps=[RECORDINGS],
        blocking=True,
        description="Every recording of the manifest has its features, or a reason why it cannot have any.",
    )
    def coverage(workspace: Workspace) -> dg.AssetCheckResult:
        from cry_pipeline.features.store.coverage import coverage_of

        def check() -> dg.AssetCheckResult:
            covered = coverage_of(workspace.store(spec), workspace.recordings()["recording_id"].tolist())
            return dg.AssetCheckResult(
                passed=covered.ok,
                metadata={
                    "recordings": covered.recordings,
                    "missing": len(covered.missing),
                    "first missing": covered.missing[:NAMED],
                    "failed": len(covered.failed),
                },
                description=covered.sentence or None,
            )

        return told(check)

    return coverage


def featurized_check(name: str, spec: FeatureSetSpec) -> dg.AssetChecksDefinition:
    """Return the check that warns of recordings that no features could be made of; it blocks nobody."""

    @dg.asset_check(
        asset=["features", name],
        name="featurized",
        description="Features could be made of every recording; of which they could not, and why.",
    )
    def featurized(workspace: Workspace) -> dg.AssetCheckResult:
        def check() -> dg.AssetCheckResult:
            failed = workspace.store(spec).failures()
            first = pd.DataFrame(sorted(failed.items())[:NAMED], columns=["recording_id", "reason"])
            return dg.AssetCheckResult(
                passed=not failed,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"failed": len(failed), "recordings": table(first)},
                description=f"{len(failed)} recordings are left out of this feature set" if failed else None,
            )

        return told(check)

    return featurized


def donor_checks(catalog: Catalog) -> list[dg.AssetChecksDefinition]:
    """Return the checks of all folds of a grouped protocol, ``donor_grouped``, ``donor_hashed`` or ``temporal``."""
    names = {e.folds_name for e in catalog.experiments.values() if catalog.protocols[e.protocol].keeps_donors_apart}
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

        def check() -> dg.AssetCheckResult:
            folds = workspace.folds(name)
            leaking = leaking_donors(folds)
            return dg.AssetCheckResult(
                passed=not leaking,
                metadata={"donors": int(folds["donor"].nunique()), "leaking": leaking[:20]},
                description=f"{len(leaking)} donors are on both sides" if leaking else None,
            )

        return told(check)

    return donors_on_one_side
