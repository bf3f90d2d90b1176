"""When donations arrived: looked up once in the archive, which says it best."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from cry_pipeline.artefacts import MissingFileError
from cry_pipeline.corpus.archive import Archive, Donated, path_of
from cry_pipeline.corpus.filenames import parse_filename
from cry_pipeline.digests import sha256_of
from cry_pipeline.donations.arrivals import FILE, look_up_arrivals, read_arrivals
from cry_pipeline.settings import Settings

NAME = "11111111-2222-4333-8444-555555555555-1431028888000-1.7-f-04-hu.wav"


def at(day: int) -> datetime:
    return datetime(2026, 1, day, 10, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def archive(tmp_path: Path) -> None:
    made = Archive.open(str(tmp_path / "archive"), tmp_path / "cache")
    for day in (1, 2):
        data = bytes([day]) * 10
        made.add(
            data,
            Donated(
                recording_id=sha256_of(data),
                bytes=len(data),
                name=NAME,
                told=parse_filename(NAME),
                arrived_at=at(day),
                origin=NAME,
            ),
        )


def manifest(*days: int) -> pd.DataFrame:
    ids = [sha256_of(bytes([day]) * 10) for day in days]
    rows = {"recording_id": [*ids, "c" * 64], "source": [*["inbox"] * len(ids), "donateacry_ios"]}
    return pd.DataFrame(rows).assign(root="archive", path=[*map(path_of, ids), "a.caf"])


def test_arrivals_are_what_the_archive_noted_and_of_donations_alone(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with pytest.raises(MissingFileError):
        read_arrivals(settings)
    found = look_up_arrivals(manifest(2, 1), settings)
    assert found.to_dict() == {sha256_of(bytes([day]) * 10): pd.Timestamp(at(day)) for day in (1, 2)}
    assert read_arrivals(settings).equals(found)


def test_what_was_looked_up_is_not_asked_for_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings, asked = Settings(data=tmp_path), []
    look_up_arrivals(manifest(1), settings)
    about = Archive.about
    monkeypatch.setattr(Archive, "about", lambda self, recording: asked.append(recording) or about(self, recording))
    look_up_arrivals(manifest(1, 2), settings)
    assert asked == [sha256_of(bytes([2]) * 10)]
    written = (settings.donations / FILE).stat().st_mtime_ns
    look_up_arrivals(manifest(1, 2), settings)
    assert (settings.donations / FILE).stat().st_mtime_ns == written


def test_what_is_no_donation_any_more_is_not_kept(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    look_up_arrivals(manifest(1, 2), settings)
    assert list(look_up_arrivals(manifest(2), settings).index) == [sha256_of(bytes([2]) * 10)]
    assert len(read_arrivals(settings)) == 1


def test_a_damaged_table_is_made_again(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    found = look_up_arrivals(manifest(1, 2), settings)
    path = settings.donations / FILE
    path.write_bytes(path.read_bytes()[:-40] + bytes(40))
    assert look_up_arrivals(manifest(1, 2), settings).equals(found)
    assert read_arrivals(settings).equals(found)


def test_without_donations_there_is_an_empty_table(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    assert look_up_arrivals(manifest(), settings).empty
    assert read_arrivals(settings).empty
