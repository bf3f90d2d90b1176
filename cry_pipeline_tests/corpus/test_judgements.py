"""Judgements: kept for ever, told apart by person and recording, and which of several counts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from pydantic import ValidationError

from cry_pipeline.artefacts import DamagedFileError
from cry_pipeline.catalog.donations import JudgementsSpec
from cry_pipeline.corpus.judgements import (
    Judgement,
    add_judgement,
    counting,
    judgements_digest,
    latest_of_each,
    read_judgements,
    write_judgements,
)
from cry_pipeline.digests import sha256_of

NOON = datetime(2015, 5, 1, 12, tzinfo=UTC)
LATEST, AGREED = JudgementsSpec(rule="latest"), JudgementsSpec(rule="agreed")


def said(verdict: str, who: str = "Ann", minutes: float = 0, recording: str = "a", **more: Any) -> Judgement:
    at = NOON + timedelta(minutes=minutes)
    content = {"recording_id": sha256_of(recording.encode()), "verdict": verdict, "who": who, "at": at}
    return Judgement.model_validate(content | more)


def words(folder: Path) -> list[tuple[str, str]]:
    last = latest_of_each(read_judgements(folder))
    return list(zip(last["who"], last["verdict"], strict=True))


def test_who_changes_their_mind_supersedes_what_they_said_and_all_is_kept(tmp_path: Path) -> None:
    first = add_judgement(tmp_path, said("cry"))
    second = add_judgement(tmp_path, said("not_cry", minutes=1))
    table = read_judgements(tmp_path)
    assert list(table["judgement"]) == [first, second]
    assert list(table["supersedes"].fillna("")) == ["", first]
    assert words(tmp_path) == [("Ann", "not_cry")]


def test_the_same_again_changes_nothing_also_after_it_superseded_another(tmp_path: Path) -> None:
    add_judgement(tmp_path, said("cry"))
    once = add_judgement(tmp_path, said("not_cry", minutes=1))
    assert add_judgement(tmp_path, said("not_cry", minutes=1)) == once
    assert len(list(tmp_path.glob("*.json"))) == 2


def test_what_was_said_last_counts_where_the_clock_was_set_back(tmp_path: Path) -> None:
    for verdict, minutes in (("cry", 0), ("not_cry", -60), ("unusable", -90)):
        add_judgement(tmp_path, said(verdict, minutes=minutes))
    assert words(tmp_path) == [("Ann", "unusable")]
    add_judgement(tmp_path, said("retracted", minutes=-120))
    assert words(tmp_path) == []


def test_an_imported_judgement_does_not_undo_a_later_one(tmp_path: Path) -> None:
    add_judgement(tmp_path, said("cry", minutes=10))
    old = add_judgement(tmp_path, said("not_cry", origin="import"))
    assert add_judgement(tmp_path, said("not_cry", origin="import")) == old
    assert words(tmp_path) == [("Ann", "cry")]


def test_a_name_is_one_however_it_is_spaced_and_composed(tmp_path: Path) -> None:
    add_judgement(tmp_path, said("cry", who="Zo\u00eb  B"))
    add_judgement(tmp_path, said("not_cry", who=" Zoe\u0308 B ", minutes=1))
    assert words(tmp_path) == [("Zo\u00eb B", "not_cry")]


@pytest.mark.parametrize("who", ["", " ", "a\x1b[31m", "a" * 81, "\ud800"])
def test_a_name_is_something_to_be_shown(who: str) -> None:
    with pytest.raises(ValidationError):
        said("cry", who=who)


def test_of_two_people_the_later_counts_or_none_unless_they_agree(tmp_path: Path) -> None:
    add_judgement(tmp_path, said("cry", "Ann"))
    add_judgement(tmp_path, said("not_cry", "Ben", 1))
    add_judgement(tmp_path, said("cry", "Ann", 2, recording="b"))
    add_judgement(tmp_path, said("cry", "Ben", 3, recording="b"))
    table = read_judgements(tmp_path)
    assert sorted(counting(table, LATEST)["verdict"]) == ["cry", "not_cry"]
    (agreed,) = counting(table, AGREED).itertuples()
    assert (agreed.recording_id, agreed.verdict, agreed.people) == (sha256_of(b"b"), "cry", "Ann, Ben")
    add_judgement(tmp_path, said("retracted", "Ben", 4))
    assert len(counting(read_judgements(tmp_path), AGREED)) == 2


def test_what_was_changed_by_hand_is_refused_also_after_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / f"{add_judgement(tmp_path, said('cry'))}.json"
    read_judgements(tmp_path)
    path.write_text(path.read_text().replace('"cry"', '"not_cry"'))
    with pytest.raises(DamagedFileError, match="put a copy of the file back"):
        read_judgements(tmp_path)


def test_a_file_under_another_judgements_name_is_refused(tmp_path: Path) -> None:
    path = tmp_path / f"{add_judgement(tmp_path, said('cry'))}.json"
    path.rename(tmp_path / f"{'0' * 64}.json")
    with pytest.raises(DamagedFileError, match="not the judgement that its name says"):
        read_judgements(tmp_path)


def test_people_who_judge_at_once_lose_nothing(tmp_path: Path) -> None:
    people = [Thread(target=add_judgement, args=(tmp_path, said("cry", f"p{number}"))) for number in range(16)]
    for each in people:
        each.start()
    for each in people:
        each.join()
    assert len(read_judgements(tmp_path)) == 16


def test_the_digest_is_of_what_was_judged_not_of_the_folder(tmp_path: Path) -> None:
    empty = judgements_digest(read_judgements(tmp_path / "none"))
    for folder in (tmp_path / "one", tmp_path / "other"):
        add_judgement(folder, said("cry"))
    one, other = (judgements_digest(read_judgements(tmp_path / name)) for name in ("one", "other"))
    assert one == other != empty


def test_the_table_is_written_once_and_counts_what_is_new(tmp_path: Path) -> None:
    path, folder = tmp_path / "judgements.parquet", tmp_path / "judgements"
    assert write_judgements(path, read_judgements(folder)) == 0
    add_judgement(folder, said("cry"))
    assert write_judgements(path, read_judgements(folder)) == 1
    written = path.stat().st_mtime_ns
    add_judgement(folder, said("cry"))
    assert write_judgements(path, read_judgements(folder)) == 0
    assert path.stat().st_mtime_ns == written
    add_judgement(folder, said("not_cry", minutes=1))
    assert write_judgements(path, read_judgements(folder)) == 1
    path.write_bytes(path.read_bytes()[:-9])
    assert write_judgements(path, read_judgements(folder)) == 2
