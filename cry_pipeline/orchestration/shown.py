"""What pages show besides evidence and features, looked up: the manifest, the feature store, the champion.

Belongs here: handing over what a page needs from packages that reports do not know. Does not: evidence (found.py), and
what a page makes of it (reports).
"""

from typing import TYPE_CHECKING

from cry_pipeline.catalog import Catalog
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.reports.material import Champion, Exported, Stored, StoredSet, Switch, Tables, Unlisted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from cry_pipeline.inference.bundle import Bundle
    from cry_pipeline.inference.champions import Event


def tables_of(workspace: Workspace) -> Tables:
    """Return the manifest and the quarantine."""
    from cry_pipeline.corpus.manifest import read_quarantine
    from cry_pipeline.corpus.resolution import read_resolution

    manifests = workspace.settings.manifests
    quarantine = read_quarantine(manifests / "quarantine.parquet")
    return Tables(workspace.recordings(), quarantine, read_resolution(manifests).how)


def stored_of(catalog: Catalog, workspace: Workspace) -> Stored:
    """Return what there is in the feature store; what cannot be read is said, and stops no report."""
    from cry_pipeline.features.kinds import feature_set_digest
    from cry_pipeline.features.store.garbage import feature_sets
    from cry_pipeline.features.store.opening import open_storage
    from cry_pipeline.features.store.rows import FeatureStoreError
    from cry_pipeline.features.store.users import feature_uses

    faults, sets, runs = [], [], {}
    try:
        for use in feature_uses(workspace.settings.runs):
            runs[use.feature_set] = runs.get(use.feature_set, 0) + 1
    except FeatureStoreError as error:
        faults.append(str(error))
    recordings = workspace.recordings()
    for name in catalog.feature_sets:
        try:
            sets.append(_stored(name, catalog, recordings, runs, workspace))
        except FeatureStoreError as error:
            faults.append(f"{name}: {error}")
    root = open_storage(workspace.settings.features)
    listed = {feature_set_digest(spec) for spec in catalog.feature_sets.values()}
    unlisted = [
        Unlisted(digest, len(root.below(digest).parts()), root.size(digest), runs.get(digest, 0))
        for digest in feature_sets(root)
        if digest not in listed
    ]
    synthetic = bool((recordings["source"] == "synthetic").any())
    return Stored(sets, unlisted, faults, synthetic)


def _stored(
    name: str, catalog: Catalog, recordings: "pd.DataFrame", runs: "Mapping[str, int]", workspace: Workspace
) -> StoredSet:
    from cry_pipeline.features.store.coverage import coverage_of

    store = workspace.store(catalog.feature_sets[name])
    paths = dict(zip(recordings["recording_id"], recordings["path"], strict=True))
    covered, info = coverage_of(store, list(paths)), store.info()
    return StoredSet(
        name=name,
        digest=store.digest,
        recordings=covered.recordings - len(covered.missing) - len(covered.failed),
        missing=len(covered.missing),
        failed={paths[recording]: why for recording, why in covered.failed.items()},
        parts=info.parts,
        bytes=info.bytes,
        superseded_parts=info.superseded_parts,
        superseded_bytes=info.superseded_bytes,
        runs=runs.get(store.digest, 0),
    )


def champion_of(workspace: Workspace) -> Champion:
    """Return the champion with its history; what cannot be read is said, and stops no report."""
    from cry_pipeline.inference.bundle import CARD, BundleError, read_bundle
    from cry_pipeline.inference.champions import ChampionError, current, history

    models = workspace.settings.models
    try:
        events = [_switch(event) for event in history(models)]
    except ChampionError as error:
        return Champion(fault=str(error))
    if not events:
        return Champion()
    try:
        bundle = read_bundle(current(models))
        card = (bundle.folder / CARD).read_text(encoding="utf-8")
    except (BundleError, ChampionError, OSError, ValueError) as error:
        return Champion(events, fault=str(error))
    size = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file())
    synthetic = any(part.evidence.synthetic for part in bundle.targets.values())
    return Champion(events, _exported(bundle), card, size, synthetic)


def _switch(event: "Event") -> Switch:
    return Switch(event.at, event.event, event.digest, event.previous, event.runs, event.why)


def _exported(bundle: "Bundle") -> list[Exported]:
    return [
        Exported(
            target=target,
            classes=part.labels.classes,
            sample_rate_hz=part.features.sample_rate_hz,
            min_duration_s=part.labels.min_duration_s,
            threshold=part.rule.threshold,
            at_threshold=part.rule.at_threshold,
            temperatures=part.rule.temperatures,
            verdict=part.evidence.verdict,
            sentence=part.evidence.sentence,
            answers=part.evidence.supports_an_answer,
        )
        for target, part in bundle.targets.items()
    ]
