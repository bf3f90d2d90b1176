"""Parts of each format that is promised to be read are read; those of another are refused, with what to do."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.features.kinds import kinds_of
from cry_pipeline.features.store.checking import set_aside_damaged, verify
from cry_pipeline.features.store.compaction import compact
from cry_pipeline.features.store.failures import note_failures
from cry_pipeline.features.store.garbage import collect_garbage
from cry_pipeline.features.store.parts import FORMAT, NewerFormatError
from cry_pipeline.features.store.rows import FeatureRows, FeatureStoreError, stack_rows
from cry_pipeline.features.store.store import FeatureStore
from cry_pipeline_tests.features.store.looks import NOW, folder_of, parts_there

DATA = Path(__file__).parents[2] / "data"
SPEC = FeatureSetSpec.model_validate(
    {
        "sample_rate_hz": 8000,
        "n_fft": 64,
        "window_samples": 64,
        "hop_samples": 32,
        "mels": 8,
        "fmax_hz": 4000,
        "mfcc": 4,
    }
)
SAMPLES = {name * 64: digit * 64 for name, digit in zip("abcd", "1234", strict=True)}
FRAMES = dict(zip(SAMPLES, (3, 1, 5), strict=False))
"""Of the recordings that have features; the last one has none."""
TOO_SHORT = "has 12 samples at 8000 Hz, fewer than one frame: 64"
WIDTHS = {"spectrogram": 33, "mel": 8, "mfcc": 4}
DTYPES = {"spectrogram": "float16", "mel": "float16", "mfcc": "float32", "statistics": "float32"}


def values(kind: str, recording: int, frames: int, width: int) -> np.ndarray:
    """Return −(64·recording + 8·frame + position / 4): [frames, width], or [width] of the statistics."""
    frame = np.zeros((1, 1)) if kind == "statistics" else np.arange(frames)[:, None]
    stated = -(64 * recording + 8 * frame + np.arange(width) / 4).astype(DTYPES[kind])
    return stated[0] if kind == "statistics" else stated


def write_store(folder: Path) -> None:
    """Write what lies in ``data/part_format_<FORMAT>``: a part that supersedes three that are gone, a failure."""
    store = FeatureStore.open(folder, SPEC)
    for row, (name, frames) in enumerate(FRAMES.items()):
        made = {kind: values(kind, row, frames, about.width(SPEC)) for kind, about in kinds_of(SPEC).items()}
        store.write(stack_rows({name: made}, [SAMPLES[name]]))
    compact(store)
    collect_garbage(store, readers_s=NOW, dry_run=False)
    last = list(SAMPLES.items())[-1]
    note_failures(store.storage, [last], {last: TOO_SHORT})


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    """A copy of the store that version 0.1.0 wrote, opened by its own digest, whatever today's is."""
    (written,) = (DATA / "part_format_3").iterdir()
    shutil.copytree(written, tmp_path / written.name)
    monkeypatch.setattr("cry_pipeline.features.store.store.feature_set_digest", lambda spec: written.name)
    return FeatureStore.open(tmp_path, SPEC).of(SAMPLES)


def test_parts_of_format_3_are_read_value_by_value(kept: FeatureStore) -> None:
    names = ["c" * 64, "a" * 64, "b" * 64]
    rows: FeatureRows = kept.read(names, tuple(DTYPES))
    assert rows.recording_ids == tuple(names)
    assert rows.offsets.tolist() == [0, 5, 8, 9]
    for kind, dtype in DTYPES.items():
        for place, (recording, frames) in enumerate(((2, 5), (0, 3), (1, 1))):
            read = rows.of(kind, place)
            assert read.dtype == dtype
            expected = values(kind, recording, frames, WIDTHS.get(kind) or read.shape[-1])
            np.testing.assert_array_equal(read, expected, err_msg=kind)


def test_all_else_of_a_store_of_format_3_is_understood(kept: FeatureStore) -> None:
    assert kept.recording_ids() == set(FRAMES)
    assert kept.failures() == {"d" * 64: TOO_SHORT}
    info = kept.info()
    assert (info.recordings, info.parts, info.superseded_parts) == (3, 1, 0)
    # Whose text says what today's digest is made of.
    assert set(verify(kept).faults) <= {"feature_set.json"}


def rewritten(store: FeatureStore, version: int) -> str:
    """Write a part's ``part.json`` as one of another format, under the name that then is its own."""
    (folder,) = (folder_of(store) / "parts").iterdir()
    content = json.dumps(json.loads((folder / "part.json").read_text()) | {"format": version, "news": 1}).encode()
    (folder / "part.json").write_bytes(content)
    return folder.rename(folder.with_name(hashlib.sha256(content).hexdigest()[: len(folder.name)])).name


def test_part_of_a_later_format_is_refused_and_left_where_it_is(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    name = rewritten(store, FORMAT + 1)
    said = f"part {name}: has format {FORMAT + 1}, and this version reads {FORMAT}; update cry-pipeline to read it"
    for look in (FeatureStore.recording_ids, verify, set_aside_damaged, compact):
        with pytest.raises(NewerFormatError, match=said):
            look(store)
    assert parts_there(store) == {name}


def test_part_of_an_earlier_format_is_refused_and_made_again(store: FeatureStore, make_rows) -> None:
    store.write(make_rows(a=3))
    name = rewritten(store, 1)
    with pytest.raises(
        FeatureStoreError, match=f"part {name}: has format 1, and this version reads {FORMAT}; .*verify"
    ):
        store.recording_ids()
    assert list(verify(store).faults) == [name]
    assert store.missing(["a"]) == ["a"]
