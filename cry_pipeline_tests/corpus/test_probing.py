"""A file's bytes are decoded once; what is reused is what would be computed."""

import hashlib
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from cry_pipeline import keys
from cry_pipeline.corpus import probing
from cry_pipeline.corpus.decoding import decode_bytes
from cry_pipeline.corpus.probing import CHANGED, Probe, Refusal, probe_files
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


def test_file_with_other_bytes_than_listed_is_refused_and_not_probed_under_their_name(files, tmp_path):
    first = next(iter(files.values()))
    first.write_bytes(first.read_bytes() + b"\0")
    probes, _ = probe_files(files, tmp_path / "probes")
    assert [probe == CHANGED for probe in probes.values()] == [True, False, False]


@pytest.mark.parametrize("now", [Path.unlink, lambda file: (file.unlink(), os.mkfifo(file)), None])
def test_file_that_is_gone_or_another_is_refused_once_and_asked_for_again(files, tmp_path, now):
    last = list(files.values())[2]
    before = last.read_bytes()
    if now is None:
        last.write_text("something else")
    else:
        now(last)
    probes, _ = probe_files(files, tmp_path / "probes")
    assert list(probes.values())[2] == CHANGED
    last.unlink(missing_ok=True)
    last.write_bytes(before)
    probes, computed = probe_files(files, tmp_path / "probes")
    assert computed == 1
    assert list(probes.values())[2] != CHANGED


def fail_on(bad: bytes, error: BaseException):
    """A decoder that raises ``error`` for the file whose bytes are ``bad``."""

    def decode(data: bytes):
        if data == bad:
            raise error
        return decode_bytes(data)

    return decode


def test_any_exception_of_a_probe_refuses_that_file_with_the_traceback_in_the_log(files, tmp_path, monkeypatch, caplog):
    first = next(iter(files.values()))
    monkeypatch.setattr(probing, "decode_bytes", fail_on(first.read_bytes(), IndexError("out of \ud800 range\n")))
    probes, _ = probe_files(files, tmp_path / "probes", 2)
    told, second, _ = probes.values()
    detail = r"Reading it fails with IndexError: out of \ud800 range\x0a. The log says where."
    assert told == Refusal("defect", detail)
    assert isinstance(second, Probe)
    assert "a.wav makes its probe fail" in caplog.text
    assert caplog.text.encode()  # what the bytes of a file say can be written to any log
    assert "Traceback" in caplog.text
    assert probe_files(files, tmp_path / "probes", 2) == (probes, 0)


def test_file_that_there_was_no_memory_for_is_refused_and_tried_again(files, tmp_path, monkeypatch):
    first = next(iter(files.values()))
    with monkeypatch.context() as patched:
        patched.setattr(probing, "decode_bytes", fail_on(first.read_bytes(), MemoryError()))
        probes, _ = probe_files(files, tmp_path / "probes")
    assert next(iter(probes.values())) == probing.NO_MEMORY
    probes, computed = probe_files(files, tmp_path / "probes")
    assert computed == 1
    assert isinstance(next(iter(probes.values())), Probe)


def test_interrupted_work_is_kept(files, tmp_path, monkeypatch):
    last = list(files.values())[2].read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(probing, "decode_bytes", fail_on(last, KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            probe_files(files, tmp_path / "probes")
    _, computed = probe_files(files, tmp_path / "probes")
    assert computed == 1


@pytest.mark.parametrize(("share", "written"), [(0, [1, 2, 3, 3]), (1e9, [1, 3])])
def test_work_that_is_killed_is_kept_up_to_some_seconds_before(files, tmp_path, monkeypatch, share, written):
    """The seconds grow with those that keeping takes: of millions it would else be all that is done."""
    kept = []
    really = probing._write_cache
    monkeypatch.setattr(
        probing, "_write_cache", lambda path, outcomes: kept.append(len(outcomes)) or really(path, outcomes)
    )
    monkeypatch.setattr(probing, "SAVED_EVERY_S", -1)
    monkeypatch.setattr(probing, "SAVING_SHARE", share)
    probe_files(files, tmp_path / "probes")
    assert kept == written


def test_no_more_than_so_many_bytes_are_read_at_once_however_many_threads():
    room, most = probing._Room(10), 0
    held: list[int] = []

    def hold(size: int) -> int:
        with room.of(size):
            held.append(size)
            total = sum(held)
            held.remove(size)
        return total

    with ThreadPoolExecutor(8) as pool:
        most = max(pool.map(hold, [4, 6, 3, 9, 10, 1] * 50))
    assert most <= 10


def test_file_larger_than_the_room_is_read_alone_and_not_waited_for_for_ever():
    room = probing._Room(10)
    with room.of(99):
        pass
    with room.of(1), room.of(2):
        pass
