"""Tables are strict: nothing is coerced, nothing extra, all faults told."""

import pandas as pd
import pytest

from cry_pipeline.corpus import hashes, probing
from cry_pipeline.corpus.schemas import INVENTORY, QUARANTINE, RECORDINGS
from cry_pipeline.folds.schemas import FOLDS
from cry_pipeline.tables import TableError
from cry_pipeline_tests.corpus.conftest import ANDROID, android


@pytest.fixture
def recordings(small) -> pd.DataFrame:
    """A manifest of two recordings."""
    for number in range(2):
        small.write(f"corpus/{ANDROID}/{android(1_430_000_000_000 + number)}.3gp")
    return small.build().recordings


def refused(recordings: pd.DataFrame) -> str:
    """What is said when ``recordings`` are validated."""
    with pytest.raises(TableError) as error:
        RECORDINGS.conforming(recordings)
    return str(error.value)


def test_good_table_is_returned_unchanged(recordings):
    pd.testing.assert_frame_equal(RECORDINGS.conforming(recordings), recordings)


@pytest.mark.parametrize("schema", [INVENTORY, RECORDINGS, QUARANTINE, hashes.KEPT, probing.KEPT, FOLDS])
def test_empty_table_has_all_columns_and_types(schema, tmp_path):
    empty = schema.table_of([])
    assert list(empty.columns) == list(schema.columns)
    schema.write(tmp_path / "empty.parquet", empty, "digest")
    schema.read(tmp_path / "empty.parquet")


def test_unknown_column_is_refused(recordings):
    assert "mood" in refused(recordings.assign(mood="bad"))


def test_missing_column_is_refused(recordings):
    assert "peak" in refused(recordings.drop(columns="peak"))


def test_other_type_is_refused_and_not_coerced(recordings):
    assert "samples" in refused(recordings.astype({"samples": "float64"}))


def test_all_faults_are_told_at_once(recordings):
    said = refused(recordings.assign(peak=2.0, platform=""))
    assert "peak" in said
    assert "platform" in said
    assert said.startswith("the manifest has 4 faults")


@pytest.mark.parametrize(
    ("column", "value", "fault"),
    [
        ("recording_id", "A" * 64, "recording_id"),
        ("donor", "0D1AD73E-4C5E-45F3-85C4-9A3CB71E8856", "donor"),
        ("donation_id", "someone:1", "donation_id is donor and epoch in ms"),
        ("duration_s", 9.0, "duration_s is samples / sample_rate_hz"),
        ("rms_dbfs", float("nan"), "rms_dbfs"),
        ("reason", "angry", "reason"),
        ("donor", None, "donor"),
    ],
)
def test_wrong_value_is_refused(recordings, column, value, fault):
    recordings = recordings.copy()
    recordings.loc[0, column] = value
    assert fault in refused(recordings)


def test_recording_listed_twice_is_refused(recordings):
    assert "recording_id" in refused(pd.concat([recordings, recordings.head(1)], ignore_index=True))


def test_missing_table_is_not_a_damaged_one(tmp_path):
    with pytest.raises(FileNotFoundError):
        RECORDINGS.read(tmp_path / "none.parquet")
