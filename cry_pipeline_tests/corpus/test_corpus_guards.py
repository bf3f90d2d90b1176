"""Golden guards of revisions: code that says something else of a file must say it under another key.

Each expected value was written down under the revision beside it. Where one differs, either the change was meant: raise
the revision that the message names in keys.py, and write the new values down; or it was not: mend the code.
"""

import hashlib
import io
import os
import wave
from dataclasses import asdict
from typing import Any

import numpy as np
import pytest
import soundfile

from cry_pipeline import keys
from cry_pipeline.corpus import hashes
from cry_pipeline.corpus.probing import Probe, probe_files
from cry_pipeline.corpus.sources import fingerprint
from cry_pipeline_tests.corpus.conftest import ANDROID, CLEANED, IOS, SmallCorpus, android

PROBE_REVISION = 4
PROBES: dict[str, dict[str, Any]] = {
    "plain": {
        "peak": 1.0,
        "rms_dbfs": -8.07798,
        "clipped_fraction": 0.075,
        "silent_fraction": 0.24194,
        "voiced_fraction": 0.54098,
        "duration_s": 1.25,
        "sample_rate_hz": 8000,
        "samples": 10000,
        "samples_digest": "6ad109b34b0df537d4ab75575b472527c6e8c1691e076680ba487b4cd245f438",
        "codec": "pcm_s16le",
        "channels": 1,
    },
    "stereo": {
        "peak": 0.75,
        "rms_dbfs": -10.56877,
        "clipped_fraction": 0.0,
        "silent_fraction": 0.24194,
        "voiced_fraction": 0.54098,
        "duration_s": 1.25,
        "sample_rate_hz": 22000,
        "samples": 27500,
        "samples_digest": "b5031942d576b931be01db933e53fe3e6ef174dd5d8ea3680874ff82b1016665",
        "codec": "flac",
        "channels": 2,
    },
    "24 bits": {
        "peak": 1.0,
        "rms_dbfs": -8.05207,
        "clipped_fraction": 0.0875,
        "silent_fraction": 0.24194,
        "voiced_fraction": 0.54098,
        "duration_s": 1.25,
        "sample_rate_hz": 16000,
        "samples": 20000,
        "samples_digest": "b56917f1a65c9422253537a255f6a60170c58cf523f9621e366a706e14f56eb3",
        "codec": "pcm_s24be",
        "channels": 1,
    },
}
MANIFEST_REVISION = 4
MANIFEST: list[str] = [
    "inbox 1430000000003 hungry - <NA>",
    "inbox 1767323045000 tired - <NA>",
    "donateacry_android 1430000000000 hungry - True",
    "donateacry_android 1430000000001 lonely - <NA>",
    "donateacry_android 1430000000002 tired - False",
    "donateacry_ios 1430000000000 hungry - False",
    "donateacry_cleaned 1430000000000 hungry hungry <NA>",
    "m-04-hu.wav duplicate",
    "baby.wav odd_name",
    "empty.wav empty",
    "notes.txt not_audio",
    "nothing.wav link",
    "pipe.wav not_a_file",
]
INVENTORY_REVISION = 3
FINGERPRINT = "7b920275e17191128021e19ed5f1ea9e16c340ade07113bc93811d67a7eb8d11"
HASHES_REVISION = 2


def voice(rate_hz: int) -> np.ndarray:
    """Integers that every machine makes alike: a triangle of 400 Hz, a pause, the triangle cut off, and noise."""
    place = np.arange(rate_hz * 5 // 4)
    period = rate_hz // 400
    triangle = np.abs((place % period) * 4 - 2 * period) * (32_000 // (2 * period)) - 16_000
    noise = (place * place * 7919 + place * 104_729) % 4001 - 2000
    parts = np.array_split(place, 4)
    made = np.concatenate([triangle[parts[0]], 0 * parts[1], np.clip(3 * triangle[parts[2]], -32_768, 32_767)])
    return np.concatenate([made, noise[parts[3]]]).astype(np.int16)


def file_of(rate_hz: int, channels: int, form: str, subtype: str) -> bytes:
    """A file of :func:`voice`, whose second channel is half as loud."""
    made = io.BytesIO()
    samples = np.stack([voice(rate_hz), voice(rate_hz) // 2], axis=1)[:, :channels]
    soundfile.write(made, samples, rate_hz, format=form, subtype=subtype)
    return made.getvalue()


def plain_wav() -> bytes:
    """A WAV, byte for byte what every version of every library makes."""
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(voice(8000).astype("<i2").tobytes())
    return made.getvalue()


FILES = {
    "plain": (8000, 1, "WAV", "PCM_16"),
    "stereo": (22_000, 2, "FLAC", "PCM_16"),
    "24 bits": (16_000, 1, "AIFF", "PCM_24"),
}


@pytest.mark.parametrize("name", FILES)
def test_what_a_probe_measures_changes_only_with_its_revision(name, tmp_path):
    assert keys.STAGES["probe"].revision == PROBE_REVISION, "probe was raised: write down the values of today"
    file = tmp_path / "file"
    file.write_bytes(file_of(*FILES[name]))
    probes, _ = probe_files({hashlib.sha256(file.read_bytes()).hexdigest(): file}, tmp_path)
    (probe,) = probes.values()
    assert isinstance(probe, Probe), probe
    found = {key: round(value, 5) if isinstance(value, float) else value for key, value in asdict(probe).items()}
    # Whether a frame counts as voiced may turn on a last bit of the resampler.
    if found.pop("voiced_fraction") != pytest.approx(PROBES[name]["voiced_fraction"], abs=0.02) or found != {
        key: value for key, value in PROBES[name].items() if key != "voiced_fraction"
    }:
        pytest.fail(f"values changed: raise the stage `probe` and write {asdict(probe)} down here, or say why not")


def fill(small: SmallCorpus) -> None:
    """A file for each rule of the manifest; some are refused unread."""
    sound = plain_wav()
    for number, path in enumerate(
        [
            f"corpus/{ANDROID}/{android(reason='hu')}.3gp",
            f"corpus/{ANDROID}/{android(1_430_000_000_001, 'lo')}.3gp",
            f"corpus/{ANDROID}/{android(1_430_000_000_002, 'ti')}.3gp",
            f"corpus/{CLEANED}/hungry/{android(reason='hu')}.wav",
            f"corpus/{IOS}/{android(1_430_000_000).upper().replace('M-04-HU', 'm-04-hu')}.caf",
            "inbox/baby.wav",
            "inbox/told.wav",
            "inbox/notes.txt",
            f"inbox/{android(1_430_000_000_003)}.wav",
        ]
    ):
        small.write(path).write_bytes(sound + bytes([number]))
    inbox = small.folder / "inbox"
    (inbox / "told.json").write_text(
        '{"donor": "0d1ad73e-4c5e-45f3-85c4-9a3cb71e8856", "platform": "ios",'
        ' "recorded_at": "2026-01-02T03:04:05Z", "reason": "tired"}'
    )
    (inbox / f"{android(1_430_000_000_004)}.wav").write_bytes(
        (inbox / f"{android(1_430_000_000_003)}.wav").read_bytes()
    )
    (inbox / "empty.wav").touch()
    (inbox / "nothing.wav").symlink_to("gone")
    (inbox / "wait.wav.part").touch()
    os.mkfifo(inbox / "pipe.wav")


def test_what_the_manifest_says_of_files_changes_only_with_its_revision(small):
    assert keys.STAGES["manifest"].revision == MANIFEST_REVISION, "manifest was raised: write down the values of today"
    fill(small)
    built = small.build()
    found = [
        f"{row.source} {row.donation_id[-13:]} {row.reason} {row.folder_label} {row.kept}"
        for row in built.recordings.fillna({"folder_label": "-"})
        .astype({"kept": "object"})
        .sort_values("path")
        .itertuples()
    ] + [f"{row.path[-11:]} {row.reason}" for row in built.quarantine.itertuples()]
    if found != MANIFEST:
        pytest.fail(f"values changed: raise the stage `manifest` and write {found} down here, or say why not")


def test_the_fingerprint_of_the_inventory_changes_only_with_its_revision(small):
    assert keys.STAGES["inventory"].revision == INVENTORY_REVISION, "inventory was raised: write down today's value"
    fill(small)
    small.take_in()
    found = fingerprint(small.inventory())
    if found != FINGERPRINT:
        pytest.fail(f"value changed: raise the stage `inventory` and write {found} down here, or say why not")


def test_what_a_hash_is_kept_under_changes_only_with_its_revision():
    assert keys.STAGES["hashes"].revision == HASHES_REVISION, "hashes was raised: write down today's value"
    status = os.stat_result((0o100644, 11, 1, 1, 0, 0, 5, 6, 7, 8), {"st_mtime_ns": 7_000_000_001, "st_ctime_ns": 8})
    assert hashes._identity(status) == "5:7000000001:8:11", "raise the stage `hashes`"
