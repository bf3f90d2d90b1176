"""The picture of a recording, drawn from its stored features: nothing is computed from the sound again.

Belongs here: which feature set it is drawn from, and the PNG. Does not: the axes' words (templates/), and features.
"""

import io
from typing import NamedTuple

import numpy as np

from cry_pipeline.artefacts import read_table
from cry_pipeline.catalog import load_catalog
from cry_pipeline.features.store.rows import FeatureStoreError, samples_of
from cry_pipeline.reports.pages import data_uri
from cry_pipeline.settings import Settings

KIND = "mel"
MOST_COLUMNS = 1000
RANGE = (2.0, 99.8)
"""Percentiles of a recording's decibels that the darkest and the brightest colour stand for."""


class RecordingPicture(NamedTuple):
    """A recording's mel spectrogram as a data URI with the ends of its axes; or no picture, and ``why`` not."""

    image: str | None
    low_hz: float
    high_hz: float
    duration_s: float
    why: str = ""


def picture_of(recording_id: str, settings: Settings) -> RecordingPicture:
    """Return the picture from the first feature set of the catalog that has the recording's mel spectrogram.

    Raises:
        DamagedFileError, OSError: the manifest cannot be read.
        CatalogError: nor can the catalog.
    """
    from cry_pipeline.features.store.store import FeatureStore

    manifest = read_table(settings.manifests / "recordings.parquet")
    row = manifest[manifest["recording_id"] == recording_id]
    if row.empty:
        return RecordingPicture(None, 0, 0, 0, "The manifest does not list this recording any more.")
    duration_s = float(row["duration_s"].iloc[0])
    why = "There is no picture: no features of this recording are stored yet."
    for spec in load_catalog(settings.catalog).feature_sets.values():
        try:
            store = FeatureStore.open(settings.features, spec).of(samples_of(row))
            if KIND in store.kinds and not store.missing([recording_id]):
                mel = store.read([recording_id], (KIND,)).of(KIND, 0)
                return RecordingPicture(data_uri(png(mel)), spec.fmin_hz, spec.fmax_hz, duration_s)
        except FeatureStoreError as error:
            why = f"There is no picture: {error}"
    return RecordingPicture(None, 0, 0, duration_s, why)


def png(mel: np.ndarray) -> bytes:
    """Return decibels [frames, mels] as a PNG: time to the right, frequency upwards, brighter is louder."""
    from matplotlib import colormaps
    from PIL import Image

    values = np.asarray(mel, np.float32)
    per_column = -(-len(values) // MOST_COLUMNS)
    starts = np.arange(0, len(values), per_column)
    values = np.add.reduceat(values, starts) / np.diff(starts, append=len(values))[:, None]
    low, high = np.percentile(values, RANGE)
    shades = np.clip((values - low) / max(float(high - low), 1e-6) * 255, 0, 255).astype(np.uint8)
    image = Image.fromarray(shades.T[::-1].copy(), mode="L")
    image.putpalette((np.asarray(colormaps["magma"](np.arange(256)))[:, :3] * 255).round().astype(np.uint8).tobytes())
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
