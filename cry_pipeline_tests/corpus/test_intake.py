"""What is donated is archived before it is taken away, nothing is lost or there twice, and refusals say what to do."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cry_pipeline.corpus import intake as module
from cry_pipeline.corpus.archive import Archive
from cry_pipeline.corpus.intake import intake_digest, take_in
from cry_pipeline.corpus.ledger import LEDGER
from cry_pipeline.corpus.listing import SourceError
from cry_pipeline.corpus.sources import fingerprint
from cry_pipeline.digests import sha256_of
from cry_pipeline.storage.places import Folder
from cry_pipeline_tests.corpus.conftest import ANDROID, DONOR, SmallCorpus, android, only, tone, write

TOLD = {"donor": DONOR, "recorded_at": "2026-01-02T03:04:05Z", "reason": "tired"}


def told(small: SmallCorpus, name: str, **changes: Any) -> Path:
    """Write a sidecar into the inbox."""
    return write(small.folder / "inbox" / name, json.dumps(TOLD | changes).encode())


def lying(small: SmallCorpus) -> list[str]:
    """Every file in the inbox."""
    inbox = small.folder / "inbox"
    return sorted(path.relative_to(inbox).as_posix() for path in inbox.rglob("*") if not path.is_dir())


def test_what_can_be_used_is_archived_and_taken_away_and_the_rest_stays_with_a_reason(small: SmallCorpus) -> None:
    good, told_of = small.write(f"inbox/today/{android()}.wav"), small.write("inbox/baby.wav")
    data = good.read_bytes(), told_of.read_bytes()
    told(
        small,
        "baby.json",
        platform="Baby Monitor",
        consent_id="2026/17",
        consent_scope="evaluation",
    )
    small.write("inbox/unnamed.wav")
    write(small.folder / "inbox" / f"{android(1_430_000_000_001)}.wav", b"no sound")
    taken = small.take_in()
    assert (len(taken.added), len(taken.before), taken.probed) == (2, 0, 3)
    assert lying(small) == [f"{android(1_430_000_000_001)}.wav", "unnamed.wav"]
    built = small.build()
    assert built.quarantine.set_index("path")["reason"].to_dict() == {
        f"{android(1_430_000_000_001)}.wav": "undecodable",
        "unnamed.wav": "odd_name",
    }
    columns = ("root", "source", "processing")
    assert [set(built.recordings[column]) for column in columns] == [{"archive"}, {"inbox"}, {"raw"}]
    rows = built.recordings.set_index("name")
    assert list(rows[["platform", "consent_scope", "reason"]].loc["baby.wav"]) == [
        "baby monitor",
        "evaluation",
        "tired",
    ]
    assert rows.loc[good.name, "recording_id"] == sha256_of(data[0])
    for row in built.recordings.itertuples():
        assert small.roots.locate("archive", str(row.path)).read_bytes() in data
    assert small.build().reused == 2


def test_a_sidecar_need_not_tell_reason_or_platform(small: SmallCorpus) -> None:
    small.write("inbox/baby.wav")
    write(small.folder / "inbox" / "baby.json", json.dumps({k: TOLD[k] for k in ("donor", "recorded_at")}).encode())
    row = only(small.build().recordings)
    assert (row["reason"], row["platform"]) == ("unknown", "unknown")


def test_the_same_again_is_taken_and_another_telling_stays_and_says_what_differs(small: SmallCorpus) -> None:
    small.write(f"inbox/{android()}.wav", tone())
    small.take_in()
    before = small.archive.read()
    small.write(f"inbox/again/{android()}.wav", tone())
    small.write(f"inbox/{android(1_430_000_000_009, 'ti')}.wav", tone())
    taken = small.take_in()
    assert (len(taken.added), len(taken.before)) == (0, 1)
    assert lying(small) == [f"{android(1_430_000_000_009, 'ti')}.wav"]
    refused = only(small.build().quarantine)
    assert refused["reason"] == "duplicate"
    assert (
        f"archive/{android()}.wav, which says hungry where this one says tired; it says recorded_at"
        in refused["detail"]
    )
    assert taken.contradictions == [f"{refused['path']}: {refused['detail']}"]
    assert small.archive.read().equals(before)


def test_twins_that_come_together_are_one_donation(small: SmallCorpus) -> None:
    for folder in ("a", "b"):
        small.write(f"inbox/{folder}/{android()}.wav", tone())
    taken = small.take_in()
    assert (len(taken.added), len(taken.before), lying(small)) == (1, 1, [])


def test_what_the_corpus_has_stays(small: SmallCorpus) -> None:
    small.write(f"corpus/{ANDROID}/{android()}.3gp", tone())
    small.write(f"inbox/{android()}.wav", tone())
    assert small.refusals() == {f"{android()}.wav": "duplicate"}
    assert small.archive.listing() == []


def test_a_recording_that_the_corpus_gets_later_is_the_corpus_own(small: SmallCorpus) -> None:
    small.write(f"inbox/{android()}.wav", tone())
    small.build()
    small.write(f"corpus/{ANDROID}/{android()}.3gp", tone())
    built = small.build()
    assert built.recordings["root"].tolist() == ["corpus"]
    assert built.quarantine[["root", "reason"]].to_numpy().tolist() == [["archive", "duplicate"]]


def test_a_file_that_grows_is_left_alone_and_taken_when_it_is_whole(
    small: SmallCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = small.write(f"inbox/{android()}.wav", tone(2))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1000])

    def grow(_: float) -> None:
        with file.open("ab") as growing:
            growing.write(whole[-1000:])

    with monkeypatch.context() as patched:
        patched.setattr("time.sleep", grow)
        taken = small.take_in()
    assert (taken.added, [one["why"] for one in taken.aside]) == ([], ["being written"])
    assert small.inventory().attrs["arrived"], "so that it is asked for again"
    assert small.take_in().added == [sha256_of(whole)]


def test_taken_away_is_only_what_was_read(small: SmallCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    file = small.write(f"inbox/{android()}.wav")
    really = Archive.add

    def add(self: Archive, data: bytes, about: Any) -> str:
        known = really(self, data, about)
        small.write(f"inbox/{android()}.wav")  # another recording under the name of the first
        return known

    with monkeypatch.context() as patched:
        patched.setattr(Archive, "add", add)
        first = small.take_in().added
    second = sha256_of(file.read_bytes())
    assert small.take_in().added == [second]
    assert {kept.recording_id for kept in small.archive.listing()} == {*first, second}


def test_a_sidecar_goes_with_the_last_file_that_it_tells_of(small: SmallCorpus) -> None:
    for name in ("baby.wav", "baby.flac"):
        small.write(f"inbox/{name}")
    short = small.write("inbox/baby.ogg", tone(0.5))
    told(small, "baby.json")
    small.take_in()
    assert lying(small) == ["baby.json", "baby.ogg"]
    short.unlink()
    small.write("inbox/baby.ogg")
    small.take_in()
    assert lying(small) == []


class Killed(BaseException):
    """As good as a kill: nothing catches it."""


def killing(monkeypatch: pytest.MonkeyPatch, step: int) -> Callable[[], bool]:
    """Let the intake end before the ``step``-th thing that it writes or removes; the result says whether it did."""
    left, did = [step], [False]

    def counted(really: Callable[..., Any]) -> Callable[..., Any]:
        def act(*given: Any, **named: Any) -> Any:
            if really.__name__ == "unlink" and "inbox" not in Path(given[0]).parts:
                return really(*given, **named)
            if left[0] == 0:
                did[0] = True
                raise Killed
            left[0] -= 1
            return really(*given, **named)

        return act

    monkeypatch.setattr(Folder, "write", counted(Folder.write))
    monkeypatch.setattr(Path, "unlink", counted(Path.unlink))
    monkeypatch.setattr(module, "write_ledger", counted(module.write_ledger))
    return lambda: did[0]


def fill(small: SmallCorpus) -> None:
    """A donation by its name, its twin, one by a sidecar, and one to refuse."""
    small.write(f"inbox/{android()}.wav", tone(hz=300))
    small.write(f"inbox/again/{android()}.wav", tone(hz=300))
    small.write("inbox/baby.wav", tone(hz=500))
    told(small, "baby.wav.json")
    small.write("inbox/unnamed.wav", tone(hz=600))


def test_killed_before_any_step_nothing_is_lost_and_nothing_is_there_twice(tmp_path: Path) -> None:
    undisturbed = SmallCorpus(tmp_path / "undisturbed")
    fill(undisturbed)
    undisturbed.take_in()
    expected, kept = fingerprint(undisturbed.inventory()), len(undisturbed.archive.listing())
    assert kept == 2
    step = 0
    for step in range(100):
        small = SmallCorpus(tmp_path / str(step))
        fill(small)
        shutil.copytree(undisturbed.cache, small.cache)  # what a file holds is known: that is not what is tried here
        (small.cache / LEDGER).unlink()
        sounds = {sha256_of(file.read_bytes()) for file in (small.folder / "inbox").rglob("*.wav")}
        with pytest.MonkeyPatch.context() as patch:
            killed = killing(patch, step)
            with suppress(Killed):
                small.take_in()
        there = {sha256_of(file.read_bytes()) for file in small.folder.rglob("*") if file.is_file()}
        assert sounds <= there, f"lost before step {step}"
        if not killed():
            break
        assert small.inventory().attrs["arrived"], "it is asked for again"
        small.take_in()
        assert fingerprint(small.inventory()) == expected, f"killed before step {step}"
        assert lying(small) == ["unnamed.wav"]
    assert step > 8


def test_a_removed_sidecar_whose_file_is_left_does_not_make_another_donation(small: SmallCorpus) -> None:
    """The kill between the two; also where the file's own name would tell something else."""
    name = f"{android()}.wav"
    data = small.write(f"inbox/{name}").read_bytes()
    told(small, f"{name}.json")
    small.take_in()
    write(small.folder / "inbox" / name, data)
    assert len(small.take_in().before) == 1
    assert lying(small) == []


def test_refusals_are_known_until_the_file_changes(small: SmallCorpus) -> None:
    small.write("inbox/unnamed.wav")
    assert small.inventory().attrs["arrived"], "nobody has looked at it"
    small.take_in()
    assert small.inventory().attrs["arrived"] == []
    told(small, "unnamed.wav.json")
    assert len(small.inventory().attrs["arrived"]) == 1
    assert len(small.inventory()) == 0, "what has arrived since is no row"
    small.take_in()
    assert lying(small) == []


def test_what_other_code_refused_is_looked_at_again(small: SmallCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write("inbox/unnamed.wav")
    small.take_in()
    monkeypatch.setattr(module, "_code", lambda: "another")
    assert len(small.inventory().attrs["arrived"]) == 1


def test_a_file_that_cannot_be_removed_is_taken_once_and_said(
    small: SmallCorpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    small.write(f"inbox/{android()}.wav")

    really = Path.unlink

    def unlink(path: Path, **named: bool) -> None:
        if "inbox" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        really(path, **named)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", unlink)
        assert len(small.take_in().added) == 1
        listed = small.inventory()
    assert listed["root"].tolist() == ["archive"]
    assert [one["why"] for one in listed.attrs["left_aside"]] == ["taken, and it cannot be removed: Permission denied"]
    assert listed.attrs["arrived"] == []
    assert len(small.take_in().before) == 1
    assert lying(small) == []


def test_the_same_donations_are_the_same_whenever_and_wherever_they_arrive(tmp_path: Path) -> None:
    one, other = SmallCorpus(tmp_path / "one"), SmallCorpus(tmp_path / "other")
    digests = set()
    for small, order in ((one, (0, 1)), (other, (1, 0))):
        takes = []
        for number in order:
            small.write(f"inbox/{android(1_430_000_000_000 + number)}.wav", tone(hz=300 + number))
            takes.append(small.take_in())
        digests.add(intake_digest(small.archive, takes[-1]))
    assert len(digests) == 1
    assert fingerprint(one.inventory()) == fingerprint(other.inventory())
    assert one.build().digest == other.build().digest
    assert not one.archive.read()["arrived_at"].equals(other.archive.read()["arrived_at"])


def test_what_is_damaged_in_the_archive_is_refused_and_comes_back_with_the_donation(small: SmallCorpus) -> None:
    data = small.write(f"inbox/{android()}.wav").read_bytes()
    kept = small.write(f"inbox/{android(1_430_000_000_001)}.wav").read_bytes()
    small.build()
    small.roots.locate("archive", f"xx/{sha256_of(data)}").write_bytes(b"flipped")
    about = small.folder / "archive" / sha256_of(kept)[:2] / f"{sha256_of(kept)}.json"
    about.write_bytes(about.read_bytes().replace(b"hu", b"ti"))
    built = small.build()
    assert len(built.recordings) == 0
    assert built.quarantine[["root", "reason"]].to_numpy().tolist() == [["archive", "unreadable"]] * 2
    for number, content in enumerate((data, kept)):
        write(small.folder / "inbox" / f"{android(1_430_000_000_000 + number)}.wav", content)
    assert len(small.build().recordings) == 2
    assert lying(small) == []


def test_bytes_that_nothing_tells_of_are_named_and_kept(small: SmallCorpus) -> None:
    data = small.write(f"inbox/{android()}.wav").read_bytes()
    small.build()
    path = f"{sha256_of(data)[:2]}/{sha256_of(data)}"
    (small.folder / "archive" / f"{path}.json").unlink()
    listed = small.inventory()
    assert len(listed) == 0
    assert [(one["path"], one["why"][:10]) for one in listed.attrs["left_aside"]] == [(path, "bytes that")]
    assert (small.folder / "archive" / path).exists(), "it may be all that is left of a donation"


@pytest.mark.parametrize(("inbox", "archive"), [("a", "a/b"), ("a/b", "a"), ("a", "a")])
def test_inbox_and_archive_in_each_other_are_refused(small: SmallCorpus, inbox: str, archive: str) -> None:
    roots = type(small.roots)(
        small.roots.corpus, small.folder / inbox, Archive.open(str(small.folder / archive), small.cache)
    )
    with pytest.raises(SourceError, match="lie in each other"):
        take_in(roots, small.cache)


def test_a_full_disk_loses_nothing(small: SmallCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    small.write(f"inbox/{android()}.wav")

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            small.take_in()
    assert lying(small) == [f"{android()}.wav"]
    assert small.archive.listing() == []
    assert len(small.take_in().added) == 1
