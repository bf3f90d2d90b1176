"""What pages show besides evidence and features, looked up: the manifest, the feature store, the champion.

Belongs here: handing over what a page needs from packages that reports do not know. Does not: evidence (found.py), and
what a page makes of it (reports).
"""

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cry_pipeline.catalog import Catalog
from cry_pipeline.corpus.cohorts import DONATED
from cry_pipeline.orchestration.resources import Workspace
from cry_pipeline.reports.confused import AskedKind, Confused
from cry_pipeline.reports.material import (
    Challenger,
    Champion,
    Donations,
    Exported,
    Stored,
    StoredSet,
    Switch,
    Tables,
    Unlisted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

    from cry_pipeline.inference.bundle import Bundle
    from cry_pipeline.inference.champions import Event

LOG = logging.getLogger("cry_pipeline")


def tables_of(workspace: Workspace) -> Tables:
    """Return the manifest and the quarantine."""
    from cry_pipeline.corpus.manifest import read_quarantine
    from cry_pipeline.corpus.resolution import read_resolution

    manifests = workspace.settings.manifests
    quarantine = read_quarantine(manifests / "quarantine.parquet")
    return Tables(workspace.recordings(), quarantine, read_resolution(manifests).how)


def donations_of(catalog: Catalog, workspace: Workspace) -> Donations:
    """Return what became of donations."""
    from cry_pipeline.corpus.judgements import JUDGEMENTS, counting
    from cry_pipeline.donations.arrivals import read_arrivals
    from cry_pipeline.donations.triage import read_triage

    recordings = workspace.recordings()
    own = recordings[recordings["source"] == DONATED]
    ids = own["recording_id"].tolist()
    judged = counting(
        JUDGEMENTS.read(workspace.settings.manifests / "judgements.parquet"), catalog.donations.judgements
    )
    featured = {
        name: sorted(set(ids) - set(workspace.store(spec).missing(ids))) for name, spec in catalog.feature_sets.items()
    }
    of_donations = judged["recording_id"].isin(ids)
    return Donations(read_triage(workspace.settings), judged[of_donations], read_arrivals(workspace.settings), featured)


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
    from cry_pipeline.inference.refusals import standing

    models = workspace.settings.models
    try:
        events, stands = [_switch(event) for event in history(models)], standing(models)
    except ChampionError as error:
        return Champion(fault=str(error))
    refused = Challenger(stands.at, stands.candidate, stands.runs, stands.why) if stands else None
    if not events:
        return Champion(refused=refused)
    try:
        bundle = read_bundle(current(models))
        card = (bundle.folder / CARD).read_text(encoding="utf-8")
    except (BundleError, ChampionError, OSError, ValueError) as error:
        return Champion(events, fault=str(error), refused=refused)
    size = sum(path.stat().st_size for path in bundle.folder.rglob("*") if path.is_file())
    synthetic = any(part.evidence.synthetic for part in bundle.targets.values())
    return Champion(events, _exported(bundle), card, size, synthetic, refused=refused)


def confused_of(workspace: Workspace) -> Confused:
    """Return what the champion says of sounds that are no cries; what cannot be read is said, and stops no report."""
    from cry_pipeline.inference.bundle import BundleError, read_bundle
    from cry_pipeline.inference.champions import ChampionError, current, history
    from cry_pipeline.inference.confusers import read_asked

    models = workspace.settings.models
    try:
        if not history(models):
            return Confused(fault="There is no champion yet: `cry-pipeline run` makes one.")
        bundle = read_bundle(current(models))
        asked = read_asked(bundle.folder)
    except (BundleError, ChampionError, OSError, ValueError) as error:
        return Confused(fault=str(error))
    cry = bundle.targets["cry"]
    usual = 1 - cry.rule.at_threshold.get("specificity", 0.5)
    synthetic = any(part.evidence.synthetic for part in bundle.targets.values())
    about = Confused(bundle.digest, cry.evidence.sentence, cry.evidence.verdict, usual=usual, synthetic=synthetic)
    if asked is None:
        return replace(about, fault="This champion is of before there were made-up sounds to ask about.")
    kinds = [AskedKind(kind, said, asked.share(kind)) for kind, said in asked.probabilities.items()]
    return replace(about, threshold=asked.threshold, kinds=kinds, known=asked.confusing(usual))


def how_much_of(workspace: Workspace) -> str | None:
    """Return the sentence of the report on how much data it would take; None where there is no such report yet."""
    from cry_pipeline.artefacts import DamagedFileError, MissingFileError
    from cry_pipeline.reports.power_page import HOW_MUCH, HOW_MUCH_DATA, sentence_of
    from cry_pipeline.tables import TableError

    try:
        return sentence_of(HOW_MUCH.read(HOW_MUCH_DATA.table_path(workspace.settings.reports)))
    except MissingFileError:
        return None
    except (DamagedFileError, TableError) as error:
        LOG.warning("the first page does not say how many donors it would take: %s", error)
        return None


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
            recalibrations=part.rule.recalibrations,
            verdict=part.evidence.verdict,
            sentence=part.evidence.sentence,
            answers=part.evidence.supports_an_answer,
        )
        for target, part in bundle.targets.items()
    ]
