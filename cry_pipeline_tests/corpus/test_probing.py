"""A file's bytes are decoded once; what is reused is what would be computed."""

import hashlib
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from cry_pipeline import keys
from cry_pipeline.corpus import probing
from cry_pipeline.corpus.probing import Probe, Refusal, StaleInventoryError, probe_files
from cry_pipeline_tests.corpus.conftest import tone


@pytest.fixture
def files(small) -> dict[str, Path]:
    """Two recordings, and a file that is none, by the sha256 of their bytes."""
    written = [small.write("inbox/a.wav"), small.write("inbox/b.wav", tone(0.5)), small.folder / "inbox" / "c.wav"]
    written[2].write_text("no sound")
    return {hashlib.sha256(file.read_bytes()).hexdigest(): file for file in written}


def test_probe_tells_measures_or_why_there_are_none(files, tmp_path):
    probes, computed = probe_files(files, tmp_path / "probes")
    first, second, third = (probes[sha256] for sha256 in files)
    assert computed == 3
    assert isinstance(first, Probe)
    assert (first.duration_s, first.sample_rate_hz, first.samples) == (1.2, 8000, 9600)
    assert (first.codec, first.channels) == ("pcm_s16le", 1)
    assert first.rms_dbfs == pytest.approx(-9.03, abs=0.01)
    assert isinstance(second, Probe)
    assert second.samples == 4000
    assert third == Refusal(
        "undecodable", "The file cannot be read by libav: Invalid data found when processing input."
    )


def test_second_time_nothing_is_decoded_and_all_is_equal(files, tmp_path, monkeypatch):
    before, _ = probe_files(files, tmp_path / "probes")
    monkeypatch.setattr(probing, "decode_bytes", pytest.fail)
    assert probe_files(files, tmp_path / "probes") == (before, 0)


def test_number_of_workers_changes_nothing(files, tmp_path):
    assert probe_files(files, tmp_path / "one", 1) == probe_files(files, tmp_path / "four", 4)


def test_only_new_bytes_are_decoded_wherever_they_lie(files, tmp_path):
    probe_files(dict(list(files.items())[:2]), tmp_path / "probes")
    moved = {sha256: file.rename(file.with_name(f"moved-{file.name}")) for sha256, file in files.items()}
    _, computed = probe_files(moved, tmp_path / "probes")
    assert computed == 1


def test_other_revision_decodes_again(files, tmp_path, monkeypatch, caplog):
    probe_files(files, tmp_path / "probes")
    monkeypatch.setitem(keys.STAGES, "probe", replace(keys.STAGES["probe"], revision=99))
    _, computed = probe_files(files, tmp_path / "probes")
    assert computed == 3
    assert "of another revision" in caplog.text


@pytest.mark.parametrize("library", ["av", "numpy", "soxr"])
def test_other_library_that_decodes_or_measures_decodes_again(files, tmp_path, monkeypatch, library):
    probe_files(files, tmp_path / "probes")
    installed = keys._version
    monkeypatch.setattr(keys, "_version", lambda name: "99.0" if name == library else installed(name))
    assert probe_files(files, tmp_path / "probes")[1] == 3


def test_samples_digest_is_that_of_the_decoded_samples_and_not_of_the_bytes(small, tmp_path):
    """16-bit and float files of the same samples are other bytes, and the same sound."""
    stored = np.round(tone() * 2**15).astype(np.int16)
    samples, files = stored.astype(np.float32) / np.float32(2**15), {}
    for subtype, content in (("PCM_16", stored), ("FLOAT", samples)):
        file = small.write(f"inbox/{subtype}.wav")
        soundfile.write(file, content, 8000, subtype=subtype)
        files[hashlib.sha256(file.read_bytes()).hexdigest()] = file
    probes, _ = probe_files(files, tmp_path / "probes")
    expected = hashlib.sha256(struct.pack(f"<{samples.size}f", *samples)).hexdigest()
    assert [getattr(probe, "samples_digest", probe) for probe in probes.values()] == [expected, expected]


@pytest.mark.parametrize("at", [0.1, 0.5, 0.9])
def test_flipped_bit_in_the_cache_is_noticed_and_said(files, tmp_path, at, caplog):
    before, _ = probe_files(files, tmp_path / "probes")
    cache = tmp_path / "probes" / "probes.parquet"
    damaged = bytearray(cache.read_bytes())
    damaged[int(at * len(damaged))] ^= 1
    cache.write_bytes(damaged)
    assert probe_files(files, tmp_path / "probes") == (before, 3)
    assert "probes.parquet is damaged" in caplog.text
    assert probe_files(files, tmp_path / "probes") == (before, 0)


def test_values_tampered_with_do_not_come_back(files, tmp_path):
    before, _ = probe_files(files, tmp_path / "probes")
    cache = tmp_path / "probes" / "probes.parquet"
    pd.read_parquet(cache).assign(duration_s=7.0).to_parquet(cache)
    assert probe_files(files, tmp_path / "probes") == (before, 3)


def test_file_with_other_bytes_than_listed_is_not_probed_under_their_name(files, tmp_path):
    first = next(iter(files.values()))
    first.write_bytes(first.read_bytes() + b"\0")
    with pytest.raises(StaleInventoryError, match=r"a\.wav has changed since the inventory"):
        probe_files(files, tmp_path / "probes")


def test_interrupted_work_is_kept(files, tmp_path):
    last = list(files.values())[2]
    last.unlink()
    with pytest.raises(StaleInventoryError, match=r"c\.wav cannot be read"):
        probe_files(files, tmp_path / "probes")
    last.write_text("no sound")
    _, computed = probe_files(files, tmp_path / "probes")
    assert computed == 1
