"""The archive: what is in it is whole, is told of once, and is the same in a folder and in a bucket."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.corpus.archive import Archive, ArchiveError, Donated, path_of
from cry_pipeline.corpus.filenames import describe
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.digests import sha256_of
from cry_pipeline.storage.bucket import PlaceError
from cry_pipeline_tests.corpus.conftest import android

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def donated(data: bytes, reason: str = "hu", **changes) -> Donated:
    name = f"{android(reason=reason)}.wav"
    about = Donated(
        recording_id=sha256_of(data), bytes=len(data), name=name, told=describe(name), arrived_at=NOON, origin=name
    )
    return about.model_copy(update=changes)


@pytest.fixture(params=["folder", "bucket"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Archive:
    """An empty archive of each kind."""
    place = tmp_path / "archive" if request.param == "folder" else f"{request.getfixturevalue('bucket')}/some/archive"
    return Archive.open(str(place), tmp_path / "cache")


def test_what_is_added_is_listed_read_and_located(archive: Archive) -> None:
    assert archive.listing() == []
    assert len(archive.read()) == 0
    one = archive.add(b"one", donated(b"one"))
    two = archive.add(b"other", donated(b"other", "ti"))
    assert one == sha256_of(b"one")
    assert [(kept.recording_id, kept.bytes) for kept in archive.listing()] == sorted([(one, 3), (two, 5)])
    rows = archive.read().set_index("recording_id")
    assert rows.loc[two, "reason"] == "tired"
    assert rows.loc[two, "arrived_at"] == NOON
    assert archive.locate(one).read_bytes() == b"one"
    assert Roots(Path("nowhere"), archive=archive).locate("archive", path_of(two)).read_bytes() == b"other"


def test_the_same_again_changes_nothing_and_another_telling_is_refused(archive: Archive) -> None:
    archive.add(b"one", donated(b"one"))
    later = donated(b"one", arrived_at=datetime(2026, 12, 1, tzinfo=UTC), origin="elsewhere.wav")
    archive.add(b"one", later)
    assert archive.about(later.recording_id).arrived_at == NOON, "when it came first"
    with pytest.raises(ArchiveError, match="told otherwise"):
        archive.add(b"one", donated(b"one", "ti"))


def test_other_bytes_than_are_told_of_are_refused(archive: Archive) -> None:
    with pytest.raises(ArchiveError, match="not the bytes"):
        archive.add(b"other", donated(b"one"))
    assert archive.listing() == []


def test_bytes_that_nothing_tells_of_are_not_in_it_and_are_completed(archive: Archive) -> None:
    about = donated(b"one")
    archive.files.write(path_of(about.recording_id), b"o")
    assert archive.listing() == []
    archive.add(b"one", about)
    assert archive.locate(about.recording_id).read_bytes() == b"one"


def test_lost_bytes_come_back_with_the_same_donation(archive: Archive) -> None:
    about = donated(b"one")
    archive.add(b"one", about)
    archive.files.remove(path_of(about.recording_id))
    (kept,) = archive.listing()
    assert kept.bytes == -1
    archive.add(b"one", about)
    assert archive.files.read(path_of(about.recording_id)) == b"one"


def test_what_is_removed_is_gone_with_its_copies(archive: Archive, tmp_path: Path) -> None:
    about = donated(b"one")
    archive.add(b"one", about)
    archive.locate(about.recording_id)
    archive.read()
    for _ in range(2):
        archive.remove(about.recording_id)
    assert archive.listing() == []
    assert [path for path in tmp_path.rglob("*") if about.recording_id in path.name] == []
    with pytest.raises(ArchiveError, match="holds no donation"):
        archive.about(about.recording_id)


def test_what_is_told_otherwise_later_is_not_read_from_a_copy(archive: Archive) -> None:
    about = donated(b"one")
    archive.add(b"one", about)
    assert archive.read()["reason"].tolist() == ["hungry"]
    # As another machine does, which knows nothing of this one's copies.
    archive.files.remove(path_of(about.recording_id) + ".json")
    other = Archive(archive.place, archive.cache / "other")
    other.add(b"one", donated(b"one", "ti"))
    assert archive.read()["reason"].tolist() == ["tired"]


def test_a_damaged_telling_is_said_and_the_others_are_read(archive: Archive, caplog: pytest.LogCaptureFixture) -> None:
    one, other = donated(b"one"), donated(b"other")
    archive.add(b"one", one)
    archive.add(b"other", other)
    damaged = archive.files.read(path_of(one.recording_id) + ".json").replace(b"hu", b"ti")
    archive.files.write(path_of(one.recording_id) + ".json", damaged)
    assert archive.read()["recording_id"].tolist() == [other.recording_id]
    assert "is not what was written" in caplog.text
    with pytest.raises(DamagedFileError, match="donate the recording again"):
        archive.about(one.recording_id)


def test_another_telling_than_the_name_says_is_none(archive: Archive) -> None:
    one, other = donated(b"one"), donated(b"other")
    archive.add(b"one", one)
    said = archive.files.read(path_of(one.recording_id) + ".json")
    archive.files.write(path_of(other.recording_id) + ".json", said)
    with pytest.raises(DamagedFileError, match="another donation"):
        archive.about(other.recording_id)


@pytest.mark.parametrize("place", ["ftp://there/archive", "s3:///archive"])
def test_a_place_that_is_none_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(PlaceError, match="s3://bucket/prefix"):
        Archive.open(place, tmp_path)


def test_only_bytes_that_are_those_are_located(bucket: str, tmp_path: Path) -> None:
    archive, about = Archive.open(bucket, tmp_path), donated(b"one")
    archive.add(b"one", about)
    archive.files.write(path_of(about.recording_id), b"two")
    with pytest.raises(ArchiveError, match="not what was donated"):
        archive.locate(about.recording_id)
