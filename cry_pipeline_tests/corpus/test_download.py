"""A fetched corpus is whole and as published, or is not there."""

import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cry_pipeline.corpus import download
from cry_pipeline.corpus.download import HASHES, CorpusError, check_corpus
from cry_pipeline.corpus.listing import SourceError
from cry_pipeline_tests.corpus.archive_server import FILES, TOP, Server, archive, nothing_is_left, part_of


def test_a_whole_archive_becomes_the_corpus_and_nothing_else_is_left(
    fetch: Callable[[], Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "cry_pipeline"):
        corpus = fetch()
    assert {p.relative_to(corpus).as_posix(): p.read_bytes() for p in corpus.rglob("*") if p.is_file()} == FILES
    assert [path.name for path in (tmp_path / "corpora").iterdir()] == ["corpus"]
    assert "Open Database License" in caplog.text


def test_a_complete_corpus_is_not_fetched_again(fetch: Callable[[], Path], server: Server) -> None:
    fetch()
    assert fetch().name == "corpus"
    assert len(server.ranges) == 1


def test_a_corpus_that_was_changed_is_neither_accepted_nor_overwritten(
    fetch: Callable[[], Path], server: Server
) -> None:
    changed = fetch() / "donateacry-ios-upload-bucket/b.caf"
    changed.write_bytes(b"mine")
    with pytest.raises(CorpusError, match=r"1 differing: donateacry-ios-upload-bucket/b\.caf.*move it away"):
        fetch()
    assert changed.read_bytes() == b"mine"
    assert len(server.ranges) == 1


def test_a_file_where_the_corpus_belongs_is_left_alone(fetch: Callable[[], Path], tmp_path: Path) -> None:
    (tmp_path / "corpora").mkdir()
    (tmp_path / "corpora" / "corpus").write_text("mine")
    with pytest.raises(CorpusError, match="is no folder"):
        fetch()
    assert (tmp_path / "corpora" / "corpus").read_text() == "mine"


def test_what_a_killed_fetch_left_is_taken_away(fetch: Callable[[], Path], server: Server, tmp_path: Path) -> None:
    unfinished = part_of(tmp_path, server).with_suffix(".unpacked")
    (unfinished / TOP).mkdir(parents=True)
    (unfinished / TOP / "half.wav").write_bytes(b"half")
    assert [path.name for path in fetch().parent.iterdir()] == ["corpus"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"donateacry-ios-upload-bucket/b.caf": b"B" * 5000}, r"1 differing: donateacry-ios-upload-bucket/b\.caf"),
        ({"donateacry-ios-upload-bucket/b.caf": None}, r"1 missing: donateacry-ios-upload-bucket/b\.caf"),
        ({"donateacry-ios-upload-bucket/c.caf": b"c"}, r"1 extra: donateacry-ios-upload-bucket/c\.caf"),
    ],
)
def test_a_corpus_that_is_not_as_published_is_refused(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, changes: dict[str, bytes | None], said: str
) -> None:
    server.content = archive({path: data for path, data in (FILES | changes).items() if data is not None})
    with pytest.raises(CorpusError, match=f"not the corpus as published .{said}"):
        fetch()
    assert nothing_is_left(tmp_path)


def test_a_flipped_bit_in_the_archive_is_found(fetch: Callable[[], Path], server: Server, tmp_path: Path) -> None:
    content = bytearray(server.content)
    content[content.index(b"b" * 50)] ^= 1
    server.content = bytes(content)
    with pytest.raises(CorpusError, match="damaged"):
        fetch()
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("content", [b"", b"<html>captive portal</html>"])
def test_an_answer_that_is_no_archive_is_refused(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, content: bytes
) -> None:
    server.content = content
    with pytest.raises(CorpusError, match="damaged"):
        fetch()
    assert nothing_is_left(tmp_path)


def test_a_list_of_hashes_that_is_damaged_says_which_line(tmp_path: Path) -> None:
    damaged = tmp_path / "list.sha256"
    damaged.write_text(f"{'0' * 64}  a.wav\n<<<<<<< HEAD\n")
    with pytest.raises(CorpusError, match="line 2: expected '<sha256>  <path>', found '<<<<<<< HEAD'"):
        check_corpus(tmp_path, damaged)


def test_the_packaged_list_holds_the_whole_public_corpus() -> None:
    paths = [line[66:] for line in HASHES.read_text().splitlines()]
    suffixes = {suffix: sum(path.endswith(suffix) for path in paths) for suffix in (".wav", ".3gp", ".caf", ".md")}
    assert suffixes == {".wav": 457, ".3gp": 712, ".caf": 416, ".md": 2}
    assert len(set(paths)) == 1587


def test_a_check_says_what_is_missing_differs_and_is_extra(tmp_path: Path, hashes: Path) -> None:
    folder = tmp_path / "corpus"
    (folder / "donateacry-ios-upload-bucket").mkdir(parents=True)
    (folder / "donateacry-ios-upload-bucket/b.caf").write_bytes(b"other")
    (folder / "mine.WAV").touch()
    (folder / "notes.txt").touch()
    report = check_corpus(folder, hashes)
    assert not report.ok
    assert len(report.missing) == 3
    assert report.differing == ("donateacry-ios-upload-bucket/b.caf",)
    assert report.extra == ("mine.WAV",)
    assert report.summary.startswith("3 missing: README.md, donateacry-android-upload-bucket/a.3gp, ")
    assert report.summary.endswith("; 1 differing: donateacry-ios-upload-bucket/b.caf; 1 extra: mine.WAV")


def test_a_check_opens_plain_files_of_the_folder_alone(
    tmp_path: Path, hashes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, read = tmp_path / "corpus", []
    monkeypatch.setattr(download, "sha256_of_file", lambda path: read.append(path.name))
    for path in FILES:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    first, second, third, last = sorted(FILES)
    os.mkfifo(folder / first)
    (tmp_path / "elsewhere").touch()
    (folder / second).symlink_to(tmp_path / "elsewhere")
    (folder / third).symlink_to("nowhere")
    (folder / last).touch()
    (folder / "out.wav").symlink_to("/dev/zero")
    report = check_corpus(folder, hashes)
    assert report.differing == tuple(sorted(FILES))
    assert report.extra == ("out.wav",)
    assert read == [Path(last).name]
    with pytest.raises(SourceError, match="cannot be listed"):
        check_corpus(tmp_path / "nowhere", hashes)


@pytest.mark.corpus
def test_no_file_of_the_real_corpus_differs_from_the_packaged_list(corpus: Path) -> None:
    report = check_corpus(corpus)
    assert (report.differing, report.extra) == ((), ())
    assert not [path for path in report.missing if path.endswith(".wav")]
