"""What was withdrawn stays away, and the list of it names nobody."""

import pytest

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.corpus.tombstones import add_tombstones, read_tombstones
from cry_pipeline.secret import SecretError, read_secret

DONOR = "0a1b2c3d-0000-4000-8000-00000000000a"
RECORDING, OTHER = "ab" * 32, "cd" * 32


@pytest.fixture
def places(tmp_path):
    folder, secret = tmp_path / "withdrawn", tmp_path / "secret.json"
    add_tombstones(folder, secret, donors=[DONOR], recordings=[RECORDING], reason="moved abroad")
    return folder, secret


def test_a_donor_is_known_in_any_case_and_a_recording_by_its_bytes(places):
    stones = read_tombstones(*places)
    found = [stones.of(OTHER, DONOR.upper()), stones.of(RECORDING, None)]
    assert [(stone.kind, stone.reason) for stone in found if stone] == [
        ("donor", "moved abroad"),
        ("recording", "moved abroad"),
    ]
    assert stones.of(OTHER, "1" + DONOR[1:]) is None
    assert stones.of(None, None) is None


def test_no_file_names_donor_or_recording_or_a_hash_that_anybody_can_make(places):
    import hashlib

    folder, _ = places
    written = "".join(f"{path.name} {path.read_text()}" for path in folder.iterdir()).lower()
    for name in (DONOR, RECORDING):
        assert name not in written
        assert hashlib.sha256(name.encode()).hexdigest() not in written


def test_a_second_withdrawal_keeps_the_first_date_and_reason(places):
    assert add_tombstones(*places, donors=[DONOR], recordings=[OTHER], reason="again") == 1
    stone = read_tombstones(*places).of(None, DONOR)
    assert stone is not None
    assert stone.reason == "moved abroad"


def test_without_tombstones_no_secret_is_asked_for_or_made(tmp_path):
    assert read_tombstones(tmp_path / "withdrawn", tmp_path / "secret.json").of(RECORDING, DONOR) is None
    assert not (tmp_path / "secret.json").exists()


def test_another_secret_is_said_and_never_takes_the_withdrawn_for_unknown(places):
    folder, secret = places
    secret.unlink()
    with pytest.raises(SecretError, match="is missing"):
        read_tombstones(folder, secret)
    read_secret(secret)  # another is made by whoever asks for one
    with pytest.raises(SecretError, match="not the secret"):
        read_tombstones(folder, secret)
    with pytest.raises(SecretError, match="not the secret"):
        add_tombstones(folder, secret, donors=[], recordings=[OTHER])


def test_a_damaged_tombstone_is_said(places):
    folder, secret = places
    path = next(folder.iterdir())
    path.write_text(path.read_text().replace("moved", "gone!"))
    with pytest.raises(DamagedFileError, match="not what was written"):
        read_tombstones(folder, secret)


def test_masked_names_tell_files_apart_and_nothing_else(places):
    stones = read_tombstones(*places)
    names = {stones.masked(f"{DONOR}-1.WAV"), stones.masked(f"{DONOR}-2.wav")}
    assert len(names) == 2
    assert all(name.startswith("withdrawn-") and name.endswith(".wav") and DONOR not in name for name in names)
