"""An inbox in a bucket is taken in as a folder is, and nothing is removed there but what was taken."""

import json
import os
import re
from pathlib import Path

import pytest

from cry_pipeline.corpus.archive import Archive
from cry_pipeline.corpus.intake import Intake, take_in
from cry_pipeline.corpus.mirror import Mirror
from cry_pipeline.corpus.reading import MAX_BYTES
from cry_pipeline.corpus.sources import Roots
from cry_pipeline.digests import sha256_of
from cry_pipeline.settings import Settings
from cry_pipeline.storage.places import Bucket
from cry_pipeline_tests.corpus.conftest import DONOR, SmallCorpus, android, tone

TOLD = {"donor": DONOR, "recorded_at": "2026-01-02T03:04:05Z"}


class Away:
    """An inbox and an archive in one bucket."""

    def __init__(self, small: SmallCorpus, bucket: str) -> None:
        self.small = small
        self.settings = Settings(
            data=small.folder, inbox_root=f"{bucket}/inbox", archive_root=f"{bucket}/kept", corpus=small.roots.corpus
        )
        mirror = Mirror.of(self.settings)
        assert mirror is not None
        self.mirror, self.bucket = mirror, mirror.bucket
        self.archive = Archive.open(self.settings.archive, self.settings.cache)

    def drop(self, key: str, hz: float = 300.0) -> bytes:
        """Put a recording into the bucket."""
        file = self.small.write("sound.wav", tone(hz=hz))
        self.bucket.write(key, file.read_bytes())
        return file.read_bytes()

    def take_in(self) -> Intake:
        roots = Roots(self.small.roots.corpus, self.settings.inbox, self.archive)
        return take_in(roots, self.settings.cache, mirror=self.mirror)

    def lying(self) -> list[str]:
        return [entry.path for entry in self.bucket.entries()]


@pytest.fixture
def away(small: SmallCorpus, bucket: str) -> Away:
    return Away(small, bucket)


def test_what_can_be_used_is_archived_and_removed_from_the_bucket(away: Away) -> None:
    sound = away.drop(f"day one/{android()}.wav")
    told = away.drop("day one/bébé.wav", 400)
    away.bucket.write("day one/bébé.json", json.dumps(TOLD).encode())
    away.drop("unnamed.wav", 500)
    assert len(away.mirror.arrived()) == 4
    taken = away.take_in()
    assert sorted(taken.added) == sorted([sha256_of(sound), sha256_of(told)])
    assert away.lying() == ["unnamed.wav"]
    assert [row["refused"] for row in taken.refused] == ["odd_name"]
    assert away.archive.locate(sha256_of(told)).read_bytes() == told
    assert away.mirror.arrived() == [] or away.take_in().added == []


def test_nothing_new_is_nothing_fetched_and_nothing_asked_for(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    away.drop("unnamed.wav")
    away.take_in()
    assert away.mirror.arrived() == []
    monkeypatch.setattr(Bucket, "read", lambda *_: pytest.fail("fetched again"))
    assert away.mirror.refresh() == []


def test_an_object_that_was_replaced_meanwhile_is_not_removed(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    first = sha256_of(away.drop(f"{android()}.wav"))
    really, second = Archive.add, list[str]()

    def add(self: Archive, *given: object) -> str:
        second.append(sha256_of(away.drop(f"{android()}.wav", 500)))
        return really(self, *given)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "add", add)
        assert away.take_in().added == [first]
    assert away.lying() == [f"{android()}.wav"]
    assert len(away.mirror.arrived()) == 2, "the new one is not the old one"
    assert away.take_in().added == second
    assert away.lying() == []


def test_copies_that_are_lost_are_fetched_and_remove_nothing(away: Away) -> None:
    away.drop("unnamed.wav")
    away.take_in()
    for file in away.settings.inbox.iterdir():
        file.unlink()
    assert len(away.take_in().refused) == 1
    assert away.lying() == ["unnamed.wav"]


def test_a_refused_object_that_somebody_takes_away_is_noticed(away: Away) -> None:
    away.drop("unnamed.wav")
    away.take_in()
    away.bucket.remove("unnamed.wav")
    assert len(away.mirror.arrived()) == 1
    assert away.take_in().refused == []
    assert list(away.settings.inbox.iterdir()) == []


def test_names_that_no_file_can_have_are_said_and_lead_nowhere(away: Away, tmp_path: Path) -> None:
    long = "n" * 300 + ".wav"
    for key in ("a", "a/b.wav", long, "%2e%2e/out.wav"):
        away.drop(key)
    away.bucket.write("folder", b"")  # as consoles mark one
    away.drop("folder/c.wav")
    assert [one["path"] for one in away.mirror.refresh()] == ["a/b.wav", long]
    assert not (tmp_path / "cache" / "out.wav").exists()
    assert (away.settings.inbox / "folder" / "c.wav").is_file()


def test_which_of_two_names_no_file_can_have_does_not_hang_on_which_came_first(away: Away) -> None:
    for key in ("a/b/c.wav", "d/e.wav"):
        away.drop(key)
    assert away.mirror.refresh() == []
    away.drop("a/b")
    assert [one["path"] for one in away.mirror.refresh()] == ["a/b/c.wav"]
    assert (away.settings.inbox / "a" / "b").is_file()
    assert (away.settings.inbox / "d" / "e.wav").is_file()


@pytest.mark.parametrize("key", ["x/../../out.wav", "x//y.wav"])
def test_a_key_that_is_no_path_is_said_and_hides_nothing(away: Away, tmp_path: Path, key: str) -> None:
    import boto3

    name = away.bucket.uri.split("/")[2]
    boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"]).put_object(
        Bucket=name, Key=f"inbox/{key}", Body=b"x"
    )
    with pytest.raises(OSError, match=re.escape(key)):
        away.take_in()
    assert not list(tmp_path.rglob("out.wav"))


def test_what_is_too_large_is_refused_and_never_fetched(away: Away, monkeypatch: pytest.MonkeyPatch) -> None:
    away.drop("huge.wav")
    listed = [entry.__class__(entry.path, MAX_BYTES + 1, entry.version) for entry in away.bucket.entries()]
    monkeypatch.setattr(Bucket, "entries", lambda _: listed)
    monkeypatch.setattr(Bucket, "read", lambda *_: pytest.fail("fetched"))
    assert [row["refused"] for row in away.take_in().refused] == ["too_large"]


def test_a_service_that_does_not_answer_is_an_error_and_no_empty_inbox(
    away: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    away.drop("unnamed.wav")
    away.take_in()
    nowhere = Mirror(Bucket("s3://no-such-bucket-of-ours/inbox"), away.settings.inbox)
    with pytest.raises(OSError, match="no-such-bucket-of-ours"):
        nowhere.arrived()
