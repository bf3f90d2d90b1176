"""One asset per feature set of the catalog: ``features/<feature_set>``."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.catalog import Catalog, FeatureSetSpec
from cry_pipeline.orchestration.assets.manifests import RECORDINGS
from cry_pipeline.orchestration.reporting import OWNERS, materialized
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.features.store import FeatureStore


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
        from cry_pipeline.features.extraction import device_of, extract_all

        recordings = workspace.recordings()
        chosen = [name for name, key in keys.items() if key in context.selected_asset_keys]
        stores = [workspace.store(catalog.feature_sets[name]) for name in chosen]
        reports = extract_all(
            recordings,
            workspace.roots(),
            stores,
            workers=workspace.workers,
            batch_recordings=workspace.batch_recordings,
            device=device_of(workspace.accelerator),
        )
        for name, store, report in zip(chosen, stores, reports, strict=True):
            held = sorted(store.recording_ids())
            yield materialized(
                keys[name],
                store.data_version(held),
                computed=report.computed,
                reused=report.reused,
                plots=_example(store, held[0]) if held else None,
                failed=report.failed,
                set_aside=report.set_aside,
                frames=report.frames,
                bytes=report.bytes,
                transform_cpu_s=report.transform_cpu_s,
                seconds_of_all_sets_together=report.seconds,
            )

    return features


def _spec(key: dg.AssetKey, spec: FeatureSetSpec) -> dg.AssetSpec:
    from cry_pipeline.features.kinds import feature_set_digest, parameters

    return dg.AssetSpec(
        key,
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
    from cry_pipeline.evaluation.data_plots import feature_image
    from cry_pipeline.features.kinds import frequencies_hz

    values = store.read([recording_id], ("mel",)).of("mel", 0)
    hop_s, mels_hz = store.spec.hop_samples / store.spec.sample_rate_hz, frequencies_hz(store.spec, "mel")
    title = f"Mel spectrogram of recording {recording_id[:8]}"
    return {"example": feature_image(values, hop_s=hop_s, title=title, frequencies_hz=mels_hz)}
