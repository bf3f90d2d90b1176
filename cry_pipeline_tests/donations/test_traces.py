"""What tells of somebody is known before it is removed, told again in any form, and masked to the same length."""

import json
import os

import numpy as np
import pandas as pd
import pytest

from cry_pipeline.artefacts import write_table
from cry_pipeline.corpus.tombstones import add_tombstones, read_tombstones
from cry_pipeline.donations.byte_search import found_in
from cry_pipeline.donations.traces import Buried, TraceError, Traces, donor_of, find_traces, named
from cry_pipeline.settings import Settings

DONOR, OTHER = "0a1b2c3d-0000-4000-8000-00000000000a", "9f8e7d6c-0000-4000-8000-00000000000b"
RECORDING = "0123456789abcdef" * 4
TRACES = Traces((DONOR,), (RECORDING,), names=("cry.wav", 'anna "löwe" & co., evening.wav'), hashes=("ab12" * 16,))


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (f"inbox/{DONOR.upper()}-143.wav", "inbox/00000000-0000-0000-0000-000000000000-143.wav"),
        (f"largest at cry {RECORDING[:16]}", "largest at cry " + "0" * 16),
        (f'{{"sha256": "{"ab12" * 16}"}}', f'{{"sha256": "{"0" * 64}"}}'),
        ("inbox/cry.wav: too short", "inbox/xxxxxxx: too short"),
        ("inbox/my-cry.wav, cry.wave", "inbox/my-cry.wav, cry.wave"),
        (f"of {OTHER}", f"of {OTHER}"),
    ],
)
def test_what_tells_is_masked_and_nothing_else(text, masked):
    assert TRACES.masked(text.encode()).decode() == masked
    assert bool(TRACES.find(text.encode())) == (text != masked)


@pytest.mark.parametrize("write", [str, json.dumps, lambda name: json.dumps(json.dumps(name))])
def test_a_name_is_found_and_masked_however_it_is_escaped_and_json_stays_json(write):
    text = write(TRACES.names[1]).encode()
    masked = TRACES.masked(text)
    assert TRACES.find(text) == {"name"}
    assert TRACES.find(masked) == set()
    assert len(masked) == len(text)
    if write is not str:
        json.loads(masked)


def test_the_bytes_of_an_id_are_found_too():
    assert TRACES.find(b"\0\1" + bytes.fromhex(RECORDING) + b"\2") == {"recording"}


def test_traces_are_the_same_after_they_were_written_and_read():
    more = Traces((), (), files=(("inbox", "a.wav"),))
    assert Traces.parsed(json.loads(json.dumps((TRACES | more).content()))) == TRACES | more


@pytest.fixture
def inbox(settings: Settings) -> Settings:
    """Three files of one donor, told by name, by sidecar and by both, and one of another who has a name in common."""
    settings.inbox.mkdir(parents=True)
    (settings.inbox / f"{DONOR}-1431028888000-1.7-f-04-hu.wav").write_bytes(os.urandom(500))
    (settings.inbox / "sub").mkdir()
    for folder, donor in (("", DONOR), ("sub/", OTHER)):
        (settings.inbox / f"{folder}cry.wav").write_bytes(f"{folder} {list(range(200))}".encode())
        (settings.inbox / f"{folder}cry.wav.json").write_text(json.dumps({"donor": donor.upper()}))
    (settings.inbox / "evening.wav").write_bytes(b"evening" * 100)
    (settings.inbox / "evening.json").write_text(json.dumps({"donor": DONOR}))
    return settings


def test_a_donors_files_are_known_by_name_and_sidecar_and_what_others_share_is_no_trace(inbox):
    traces = find_traces(inbox, [DONOR], [])
    files = {path for _, path in traces.files}
    assert files == {f"{DONOR}-1431028888000-1.7-f-04-hu.wav", "cry.wav", "cry.wav.json", "evening.wav", "evening.json"}
    assert len(traces.recordings) == 3
    assert set(traces.names) == {"evening.wav", "evening.json"}  # both have a cry.wav
    assert len(traces.sounds) == 1  # of the others no piece is like no other


def test_a_recording_alone_takes_its_sidecar_along_and_leaves_its_donor(inbox):
    recording = named(inbox, "evening.wav")
    traces = find_traces(inbox, [], [recording])
    assert traces.donors == ()
    assert {path for _, path in traces.files} == {"evening.wav", "evening.json"}


def test_a_recording_alone_names_the_other_one_of_its_donation(settings):
    path = settings.manifests / "recordings.parquet"
    common = {"donor": DONOR, "donation_id": f"{DONOR}:1", "root": "corpus"}
    rows = [
        {**common, "recording_id": name * 64, "path": f"{name}.wav", "name": f"{name}.wav", "samples_digest": name * 64}
        for name in "abc"
    ]
    rows[2]["donation_id"] = f"{DONOR}:2"
    write_table(path, pd.DataFrame(rows), "d")
    assert find_traces(settings, [], ["a" * 64]).siblings == ("b" * 64,)
    assert find_traces(settings, [], ["c" * 64]).donations == (f"{DONOR}:2",)
    assert find_traces(settings, [DONOR], []).siblings == ()


def test_who_is_meant_must_be_clear(inbox):
    with pytest.raises(TraceError, match="2 recordings"):
        named(inbox, "cry.wav")
    with pytest.raises(TraceError, match="no recording that is known"):
        named(inbox, "morning.wav")
    assert named(inbox, RECORDING.upper()) == RECORDING
    assert named(inbox, named(inbox, "evening.wav")[:10]) == named(inbox, "evening.wav")
    with pytest.raises(TraceError, match="is no donor"):
        donor_of("anna")


def test_what_has_a_tombstone_is_found_by_whoever_does_not_know_it(tmp_path):
    add_tombstones(tmp_path / "withdrawn", tmp_path / "secret.json", donors=[DONOR], recordings=[RECORDING])
    find = Buried(read_tombstones(tmp_path / "withdrawn", tmp_path / "secret.json"))
    noise = np.random.default_rng(0).integers(0, 256, 1 << 17, np.uint8).tobytes()
    for place in (0, 1, 7, 16_380, 16_384, 65_000):
        for name, what in ((DONOR.upper(), "donor"), (RECORDING, "recording"), (OTHER, None), ("f" * 64, None)):
            data = noise[:place] + b" " + name.encode() + b" " + noise[place:]
            assert found_in(data, find) == ({what} if what else set())
    assert find(noise[:3]) == set()
