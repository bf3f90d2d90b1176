"""One asset per feature set of the catalog: ``features/<feature_set>``."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.catalog import Catalog, FeatureSetSpec, digest
from cry_pipeline.orchestration.asset_keys import RECORDINGS, tags
from cry_pipeline.orchestration.extraction import computed
from cry_pipeline.orchestration.reporting import OWNERS, materialized
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    import pandas as pd

    from cry_pipeline.features.extraction import ExtractionReport
    from cry_pipeline.features.store.store import FeatureStore

LOG = logging.getLogger("cry_pipeline")


def feature_assets(catalog: Catalog) -> dg.AssetsDefinition:
    """Return the assets of all feature sets: each has its own version and can be materialized by itself.

    They share one step, so that feature sets materialized together decode each recording once.
    """
    keys = {name: dg.AssetKey(["features", name]) for name in catalog.feature_sets}

    @dg.multi_asset(
        name="features",
        specs=[_spec(keys[name], spec) for name, spec in catalog.feature_sets.items()],
        can_subset=True,
    )
    def features(context: dg.AssetExecutionContext, workspace: Workspace) -> Iterator[dg.MaterializeResult]:
        """Compute the features of those recordings that a selected set lacks."""
        from cry_pipeline.features.kinds import parameters

        recordings = workspace.recordings()
        chosen = [name for name, key in keys.items() if key in context.selected_asset_keys]
        made, faults = _extracted(chosen, catalog, recordings, workspace)
        for name, (store, report) in made.items():
            stored, failed = sorted(store.recording_ids()), store.failures()
            there = store.info()
            yield materialized(
                context,
                # How a row is made, and what could not be; which rows there are is the manifest's to say. A donation
                # would else make stale what is learned of cohorts that it is not in.
                digest(rows_as=store.digest, failed=sorted(failed)),
                key=keys[name],
                recordings=len(stored),
                parts=there.parts,
                size_mb=there.bytes / 1e6,
                parameters=parameters(catalog.feature_sets[name]),
                computed=report.computed,
                reused=report.reused,
                plots=_example(store, stored[0]) if stored and not report.reused else None,
                rows_digest=store.data_version(stored),
                failed=failed,
                set_aside=report.set_aside,
                frames_computed=report.frames,
                computed_mb=report.bytes / 1e6,
                transform_cpu_s=report.transform_cpu_s,
            )
        if faults:
            raise dg.Failure("; ".join(f"{name}: {fault}" for name, fault in faults.items()))

    return features


def _extracted(
    names: Sequence[str], catalog: Catalog, recordings: "pd.DataFrame", workspace: Workspace
) -> "tuple[dict[str, tuple[FeatureStore, ExtractionReport]], dict[str, str]]":
    """Return store and report of each feature set that could be made, and what was wrong with the others.

    All together, because then a recording is decoded once for all; if that fails, each by itself, because then one that
    cannot be made stops no other.
    """
    from cry_pipeline.corpus.sources import SourceError
    from cry_pipeline.engine import EngineError

    try:
        made = computed([catalog.feature_sets[name] for name in names], recordings, workspace)
        return dict(zip(names, made, strict=True)), {}
    except (EngineError, SourceError):  # of the machines or the recordings, not of a feature set
        raise
    except (ValueError, RuntimeError, OSError) as error:
        if len(names) == 1:
            return {}, {names[0]: str(error)}
        LOG.warning("%s: each feature set is tried by itself", error)
    made, faults = {}, {}
    for name in names:
        done, fault = _extracted([name], catalog, recordings, workspace)
        made, faults = made | done, faults | fault
    return made, faults


def _spec(key: dg.AssetKey, spec: FeatureSetSpec) -> dg.AssetSpec:
    from cry_pipeline.features.kinds import feature_set_digest, parameters

    return dg.AssetSpec(
        key,
        tags=tags(feature_set=key.path[-1]),
        deps=[RECORDINGS],
        group_name="features",
        kinds={"zarr", "pytorch"},
        owners=OWNERS,
        description=spec.description,
        code_version=feature_set_digest(spec),
        metadata=parameters(spec),
    )


def _example(store: "FeatureStore", recording_id: str) -> dict[str, bytes]:
    """Return the spectrogram of one recording as a picture."""
    from cry_pipeline.features.kinds import frequencies_hz
    from cry_pipeline.reports.figures.data import feature_image

    values = store.read([recording_id], ("mel",)).of("mel", 0)
    hop_s, mels_hz = store.spec.hop_samples / store.spec.sample_rate_hz, frequencies_hz(store.spec, "mel")
    title = f"Mel spectrogram of recording {recording_id[:8]}"
    return {"example": feature_image(values, hop_s=hop_s, title=title, frequencies_hz=mels_hz)}
