"""The `cry-pipeline features` commands.

Belongs here: arguments and tables. Does not: work (each command calls the feature store), nor anything heavy at import.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cry_pipeline.command.terminal import catalog, feature_set_names, megabytes, named, print_table, say, settings

if TYPE_CHECKING:
    from cry_pipeline.catalog import FeatureSetSpec
    from cry_pipeline.settings import Settings

features_app = typer.Typer(help="The feature sets of the catalog and what is stored of them.", no_args_is_help=True)


@features_app.command("list")
def features_list() -> None:
    """List the feature sets of the catalog with what is stored of each, and how many recordings have no features."""
    from cry_pipeline.features.store.failures import read_failures
    from cry_pipeline.features.store.store import FeatureStore

    where = settings()
    rows = []
    for name, spec in catalog(where.catalog).feature_sets.items():
        store = FeatureStore.open(where.features, spec)
        info = store.info()
        rows.append(
            {
                "feature set": name,
                "digest": info.digest[:12],
                "rate": f"{spec.sample_rate_hz} Hz",
                "window/hop": f"{spec.window_samples}/{spec.hop_samples}",
                "bins": spec.bins,
                "mels": spec.mels,
                "MFCC": spec.mfcc,
                "recordings": info.recordings,
                "failed": len(read_failures(store.storage)),
                "parts": info.parts,
                "size": megabytes(info.bytes),
            }
        )
    print_table(rows, spare=("digest", "window/hop", "parts"))


@features_app.command("show")
def features_show(
    name: Annotated[str, typer.Argument(help="A feature set of the catalog.", autocompletion=feature_set_names)],
    plot: Annotated[Path | None, typer.Option(help="Write the images of one recording to this PNG.")] = None,
    recording: Annotated[str | None, typer.Option(help="recording_id, or its beginning; by default the first.")] = None,
) -> None:
    """Show a feature set's parameters, and optionally the images of one recording."""
    where = settings()
    spec = named(name, catalog(where.catalog).feature_sets, "feature set")
    print_table([{"parameter": key, "value": str(value)} for key, value in spec.model_dump().items()])
    if plot is not None:
        say(_plot_recording(where, spec, recording, plot))


def _plot_recording(where: "Settings", spec: "FeatureSetSpec", recording: str | None, path: Path) -> Path:
    from cry_pipeline.corpus.manifest import read_recordings
    from cry_pipeline.features.kinds import frequencies_hz
    from cry_pipeline.features.store.rows import samples_of
    from cry_pipeline.features.store.store import FeatureStore
    from cry_pipeline.reports.figures.data import feature_image

    store, stored = FeatureStore.open(where.features, spec), []
    table = where.manifests / "recordings.parquet"
    if table.exists():
        store = store.of(samples_of(read_recordings(table)))
        stored = sorted(name for name in store.recording_ids() if name.startswith(recording or ""))
    if not stored:
        which = f"recording {recording}" if recording else "any recording"
        raise ValueError(f"no features of {which} are stored: materialize the feature set with `cry-pipeline run`")
    values = store.read(stored[:1], ("mel",)).of("mel", 0)
    title = f"Mel spectrogram of recording {stored[0][:8]}"
    hop_s = spec.hop_samples / spec.sample_rate_hz
    path.write_bytes(feature_image(values, hop_s=hop_s, title=title, frequencies_hz=frequencies_hz(spec, "mel")))
    return path
