"""Every file is in the manifest or in quarantine, once, and for the right reason."""

import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import soundfile

from cry_pipeline.corpus import manifest as module
from cry_pipeline.corpus.manifest import (
    ManifestError,
    build_manifest,
    manifest_digest,
    read_quarantine,
    read_recordings,
    write_manifest,
)
from cry_pipeline.corpus.sources import Roots, take_inventory
from cry_pipeline_tests.corpus.conftest import ANDROID, CLEANED, DONOR, IOS, UPLOAD, SmallCorpus, android, only, tone


def test_recording_has_name_place_and_measures(small):
    small.write(UPLOAD)
    row = only(small.build().recordings)
    assert (row["donor"], row["donation_id"]) == (DONOR, f"{DONOR}:1430000000000")
    assert (row["source"], row["processing"], row["root"]) == ("donateacry_android", "raw", "corpus")
    assert row["path"] == f"{ANDROID}/{android()}.3gp"
    assert row["recorded_at"] == pd.Timestamp(1_430_000_000, unit="s", tz="UTC")
    assert (row["platform"], row["gender"], row["reason"]) == ("android", "male", "hungry")
    assert (row["duration_s"], row["samples"], row["codec"]) == (1.2, 9600, "pcm_s16le")
    assert row["peak"] == pytest.approx(0.5, abs=1e-4)
    assert pd.isna(row["folder_label"])


def test_recordings_are_sorted_by_id_and_quarantine_by_place(small):
    for number in range(6):
        small.write(f"corpus/{ANDROID}/{android(1_430_000_000_000 + number)}.3gp")
        small.write(f"inbox/{9 - number}.wav")
    built = small.build()
    assert built.recordings["recording_id"].is_monotonic_increasing
    assert built.quarantine["path"].is_monotonic_increasing
    assert built.recordings.index.tolist() == list(range(6))


def test_upload_and_cleaned_copy_are_two_recordings_of_one_donation(small):
    small.write(f"corpus/{ANDROID}/{android(reason='ch')}.3gp")
    small.write(f"corpus/{CLEANED}/discomfort/{android(reason='ch')}.wav")
    recordings = small.build().recordings.sort_values("processing")
    assert set(recordings["donation_id"]) == {f"{DONOR}:1430000000000"}
    assert recordings["reason"].tolist() == ["cold_hot", "cold_hot"]
    assert recordings["folder_label"].fillna("-").tolist() == ["discomfort", "-"]
    assert recordings["kept"].fillna(False).tolist() == [False, True]
    assert recordings["kept"].isna().tolist() == [True, False]


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        *((reason, False) for reason in ("hu", "bu", "bp", "dc", "ti", "ch")),
        *((reason, None) for reason in ("lo", "sc", "dk")),
    ],
)
def test_missing_cleaned_copy_tells_only_where_the_curators_listened(small, reason, kept):
    small.write(f"corpus/{CLEANED}/hungry/{android(1_430_000_000_001)}.wav")
    small.write(f"corpus/{ANDROID}/{android(reason=reason)}.3gp")
    recordings = small.build().recordings
    judged = only(recordings[recordings["processing"] == "raw"])["kept"]
    assert (None if judged is pd.NA else bool(judged)) is kept


def test_nothing_is_known_of_curation_without_cleaned_files(small):
    small.write(UPLOAD)
    assert only(small.build().recordings)["kept"] is pd.NA


def test_nothing_is_known_of_curation_of_the_inbox(small):
    small.write(f"corpus/{CLEANED}/hungry/{android()}.wav")
    small.write(f"inbox/{android()}.3gp")
    recordings = small.build().recordings
    assert recordings["kept"].isna().all()


def test_each_refusal_has_its_reason(small):
    small.write(f"inbox/{android(1_430_000_000_001)}.wav").write_bytes(b"")
    small.write("inbox/notes.txt")
    small.write("inbox/baby.wav")
    small.write(f"inbox/{android(1_430_000_000_002)}.wav").write_text("no sound")
    cut = small.write(f"inbox/{android(1_430_000_000_003)}.wav")
    cut.write_bytes(cut.read_bytes()[:-2])
    small.write(f"inbox/{android(1_430_000_000_004)}.wav", tone(0.99))
    small.write(f"inbox/{android(1_430_000_000_005)}.wav", tone(1.0))
    assert small.refusals() == {
        f"{android(1_430_000_000_001)}.wav": "empty",
        "notes.txt": "not_audio",
        "baby.wav": "odd_name",
        f"{android(1_430_000_000_002)}.wav": "undecodable",
        f"{android(1_430_000_000_003)}.wav": "truncated",
        f"{android(1_430_000_000_004)}.wav": "too_short",
    }
    details = small.build().quarantine["detail"]
    assert details.str.endswith(".").all()
    assert details.str.contains("7920 samples, 8000 needed for 1.0 s").any()


def test_second_of_equal_files_is_a_duplicate_and_names_the_first(small):
    small.write(f"inbox/{android(1_430_000_000_000)}.wav", tone())
    small.write(f"corpus/{IOS}/{android(1_430_000_000_002)}.caf", tone())
    small.write(f"corpus/{IOS}/{android(1_430_000_000_001)}.caf", tone())
    built = small.build()
    first = only(built.recordings)["path"]
    assert first == f"{IOS}/{android(1_430_000_000_001)}.caf"
    assert built.quarantine["reason"].tolist() == ["duplicate"] * 2
    assert built.quarantine["detail"].str.endswith(f"the same bytes as corpus/{first}.").all()
    assert built.contradictions == ()
    assert built.quarantine["root"].tolist() == ["corpus", "inbox"]


def test_file_that_changed_after_the_inventory_is_left_out_and_the_manifest_is_not_that_of_the_inventory(small):
    changing, other = small.write(UPLOAD), small.write(f"inbox/{android(1_430_000_000_001)}.wav")
    inventory, before = take_inventory(small.roots, small.cache), changing.read_bytes()
    changing.write_bytes(before + b"\0\0")
    built = build_manifest(inventory, small.roots, small.cache)
    assert only(built.quarantine)["reason"] == "changed"
    assert only(built.recordings)["path"] == other.name
    assert built.digest != manifest_digest(inventory)
    changing.write_bytes(before)
    assert build_manifest(inventory, small.roots, small.cache).digest == manifest_digest(inventory)


def test_what_the_inventory_did_not_read_is_in_quarantine_with_its_reason(small):
    (small.folder / "inbox" / f"{android()}.wav").symlink_to("nothing")
    row = only(small.build().quarantine)
    assert (row["reason"], row["detail"]) == ("link", "It is a link that leads to nothing.")
    assert pd.isna(row["sha256"])


@pytest.mark.parametrize("rate_hz", [0, 1, 10, 24, 25, 2**31 - 1])
def test_damaged_sample_rate_stops_nobody_else(small, rate_hz):
    for number in range(2):
        file = small.write(f"inbox/{android(1_430_000_000_001 + number)}.wav")
        file.write_bytes(
            file.read_bytes()[:24] + struct.pack("<II", rate_hz, 2 * rate_hz % 2**32) + file.read_bytes()[32:]
        )
    small.write(UPLOAD)
    built = small.build()
    assert 8000 in set(built.recordings["sample_rate_hz"])
    assert len(built.recordings) + len(built.quarantine) == 3


def test_too_short_says_how_many_samples_are_missing_of_how_many(small):
    file = small.write(f"inbox/{android()}.wav")
    soundfile.write(file, tone(1.0, rate_hz=44_100)[:44_098], 44_100)
    detail = only(small.build().quarantine)["detail"]
    assert detail == "The recording has 44098 samples, 44100 needed for 1.0 s."


def test_oddly_named_copy_does_not_push_out_the_recording(small):
    small.write("inbox/a.wav", tone())
    small.write(f"inbox/{android()}.wav", tone())
    assert len(small.build().recordings) == 1
    assert small.refusals() == {"a.wav": "odd_name"}


def test_duplicate_of_a_file_of_no_use_is_not_taken_instead(small):
    for number in range(2):
        small.write(f"inbox/{android(1_430_000_000_000 + number)}.wav", tone(0.5))
    assert list(small.refusals().values()) == ["too_short", "duplicate"]


def test_new_donation_is_the_only_one_decoded(small):
    small.write(UPLOAD)
    first = small.build()
    assert (first.probed, first.reused) == (1, 0)
    small.write(f"inbox/{android(1_430_000_000_001)}.wav")
    assert small.take_in().probed == 1
    second = small.build()
    assert (second.probed, second.reused) == (0, 2)
    assert len(second.recordings) == 2
    assert second.digest != first.digest


def test_equal_inventories_have_equal_digests_and_tables(small, tmp_path):
    small.write(UPLOAD)
    copy = SmallCorpus(tmp_path / "copy")
    shutil.copytree(small.roots.corpus, copy.roots.corpus, dirs_exist_ok=True)
    here, there = small.build(), copy.build()
    assert here.digest == there.digest == manifest_digest(take_inventory(copy.roots, copy.cache))
    pd.testing.assert_frame_equal(here.recordings, there.recordings)


def test_rows_of_the_inventory_may_come_in_any_order(small):
    for number in range(5):
        small.write(f"inbox/{android(1_430_000_000_000 + number)}.wav", tone(1.0 + number // 2))
    inventory = take_inventory(small.roots, small.cache)
    here = build_manifest(inventory, small.roots, small.cache)
    there = build_manifest(inventory.iloc[::-1], small.roots, small.cache)
    pd.testing.assert_frame_equal(here.recordings, there.recordings)
    pd.testing.assert_frame_equal(here.quarantine, there.quarantine)
    assert here.digest == there.digest


def test_file_lost_on_the_way_is_an_error(small, monkeypatch):
    small.write(UPLOAD)
    monkeypatch.setattr(module, "sort_out", lambda rows, roots, twins: ())
    with pytest.raises(ManifestError, match="1 files are in neither table"):
        small.build()


def test_file_in_both_tables_is_an_error(small, monkeypatch):
    small.write(UPLOAD)
    really, refused = module.sort_out, {"reason": "odd_name", "detail": "No."}

    def both(*given: Any) -> Iterator[Any]:
        for row, name in really(*given):
            yield from ((row, name), (row | refused, None))

    monkeypatch.setattr(module, "sort_out", both)
    with pytest.raises(ManifestError, match="1 files are in both tables"):
        small.build()


def test_empty_sources_make_empty_tables(small):
    built = small.build()
    assert (len(built.recordings), len(built.quarantine)) == (0, 0)


def test_written_tables_are_read_back_equal(small, tmp_path):
    small.write(UPLOAD)
    small.write("inbox/baby.wav")
    built = small.build()
    write_manifest(built, tmp_path / "manifests")
    pd.testing.assert_frame_equal(read_recordings(tmp_path / "manifests" / "recordings.parquet"), built.recordings)
    pd.testing.assert_frame_equal(read_quarantine(tmp_path / "manifests" / "quarantine.parquet"), built.quarantine)


@pytest.mark.corpus
def test_corpus_refuses_what_the_article_tells_of_and_nothing_else(real_manifest):
    assert len(real_manifest.recordings) == 1339
    refused = real_manifest.quarantine
    assert refused["reason"].value_counts().to_dict() == {"too_short": 3, "odd_name": 2, "duplicate": 1}
    assert refused["path"].str.contains("ios-upload").all()


@pytest.mark.corpus
def test_no_recording_of_the_corpus_is_cut_to_a_second(real_manifest):
    """System ffmpeg 5 cuts 36 of the .3gp to 1 s without a word."""
    recordings = real_manifest.recordings
    assert recordings["duration_s"].min() > 1.05
    raw, cleaned = (recordings[recordings["processing"] == kind] for kind in ("raw", "cleaned"))
    pairs = raw.merge(cleaned, on="donation_id", suffixes=("_raw", "_cleaned"))
    assert len(pairs) == 360
    assert (pairs["duration_s_raw"] - pairs["duration_s_cleaned"]).abs().max() < 0.001
    same_rate = pairs[pairs["platform_raw"] == "android"]
    assert (same_rate["rms_dbfs_raw"] - same_rate["rms_dbfs_cleaned"]).abs().max() < 0.01


@pytest.mark.corpus
def test_folder_of_a_cleaned_file_is_the_reason_in_its_name(real_manifest):
    cleaned = real_manifest.recordings.dropna(subset="folder_label")
    differing = cleaned[cleaned["folder_label"] != cleaned["reason"]]
    assert set(zip(differing["folder_label"], differing["reason"], strict=True)) == {("discomfort", "cold_hot")}
    assert len(differing) == 7


@pytest.mark.corpus
def test_paths_of_the_corpus_lead_to_the_recordings(real_manifest, corpus: Path):
    roots = Roots(corpus)
    for row in real_manifest.recordings.iloc[::100].itertuples():
        assert roots.locate(row.root, row.path).stat().st_size == row.bytes


@pytest.mark.corpus
def test_kept_uploads_are_more_often_voiced(real_manifest):
    """The heuristic alone ranks kept above refused uploads in 82 % of pairs."""
    from sklearn.metrics import roc_auc_score

    judged = real_manifest.recordings.dropna(subset="kept")
    assert roc_auc_score(judged["kept"].astype(bool), judged["voiced_fraction"]) == pytest.approx(0.824, abs=0.02)
