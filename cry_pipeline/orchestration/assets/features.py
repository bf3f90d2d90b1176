"""One asset per feature set of the catalog: ``features/<feature_set>``."""

from typing import TYPE_CHECKING

import dagster as dg

from cry_pipeline.catalog import Catalog, FeatureSetSpec
from cry_pipeline.orchestration.reporting import OWNERS, materialized
from cry_pipeline.orchestration.resources import Workspace

if TYPE_CHECKING:
    from cry_pipeline.features.store import FeatureStore


def feature_assets(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """Return the assets of all feature sets."""
    return [feature_asset(name, spec) for name, spec in catalog.feature_sets.items()]


def feature_asset(name: str, spec: FeatureSetSpec) -> dg.AssetsDefinition:
    """Return the asset that holds every recording's features at the parameters ``spec``."""
    from cry_pipeline.features.kinds import feature_set_digest

    @dg.asset(
        key=["features", name],
        deps=[["manifests", "recordings"]],
        group_name="features",
        kinds={"zarr", "pytorch"},
        owners=OWNERS,
        description=spec.description,
        code_version=feature_set_digest(spec),
        metadata=spec.model_dump(mode="json", exclude={"description"}),
    )
    def features(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult:
        from cry_pipeline.features.extraction import extract

        recordings, store = workspace.recordings(), workspace.store(spec)
        report = extract(
            recordings,
            workspace.roots(),
            store,
            workers=workspace.workers,
            batch_recordings=workspace.batch_recordings,
        )
        held = sorted(set(recordings["recording_id"]) & store.recording_ids())
        return materialized(
            context.asset_key,
            store.data_version(held),
            computed=report.computed,
            reused=report.reused,
            plots=_example(store, held[0]) if held else None,
            failed=report.failed,
            frames=report.frames,
            bytes=report.bytes,
            seconds=report.seconds,
        )

    return features


def _example(store: "FeatureStore", recording_id: str) -> dict[str, bytes]:
    """Return the spectrogram of one recording as a picture."""
    from cry_pipeline.evaluation.data_plots import feature_image
    from cry_pipeline.features.kinds import frequencies_hz

    values = store.read([recording_id], ("mel",)).of("mel", 0)
    hop_s = store.spec.hop_samples / store.spec.sample_rate_hz
    title = f"Mel spectrogram of recording {recording_id[:8]}"
    return {
        "example": feature_image(values, hop_s=hop_s, title=title, frequencies_hz=frequencies_hz(store.spec, "mel"))
    }
