"""A fetched corpus is whole and as published, or is not there; what servers and archives can do wrong is survived."""

import hashlib
import io
import logging
import socket
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cry_pipeline.corpus import download
from cry_pipeline.corpus.download import HASHES, CorpusError, NoNetworkError, check_corpus, fetch_corpus
from cry_pipeline_tests.corpus.archive_server import FILES, TOP, Server, archive, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of its own for each test, asked directly and without pauses between attempts."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "PAUSE_S", 0.0)
    monkeypatch.setattr(download, "CHUNK_BYTES", 500)
    with serving() as state:
        yield state


@pytest.fixture
def hashes(tmp_path: Path) -> Path:
    """The list of hashes of FILES."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in FILES.items())
    path = tmp_path / "list.sha256"
    path.write_text("".join(lines))
    return path


@pytest.fixture
def fetch(server: Server, hashes: Path, tmp_path: Path) -> Callable[[], Path]:
    """Fetch from ``server`` to ``tmp_path/corpora/corpus``."""
    return lambda: fetch_corpus(tmp_path / "corpora" / "corpus", url=server.url, hashes=hashes)


def nothing_is_left(tmp_path: Path) -> bool:
    """Whether neither a corpus nor anything half done lies where the corpus should."""
    return list((tmp_path / "corpora").iterdir()) == []


def part_of(tmp_path: Path, server: Server) -> Path:
    """Where an interrupted transfer from ``server`` is kept."""
    return tmp_path / "corpora" / f".corpus-{hashlib.sha256(server.url.encode()).hexdigest()[:8]}.zip.part"


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


@pytest.mark.parametrize("says_length", [True, False], ids=["length", "chunked"])
def test_a_transfer_that_breaks_off_is_gone_on_with(
    fetch: Callable[[], Path], server: Server, says_length: bool
) -> None:
    server.breaks_off_after, server.says_length = [7000, 3000], says_length
    assert fetch().is_dir()
    assert server.ranges == [None, "bytes=7000-", "bytes=10000-"]


def test_a_transfer_that_keeps_breaking_off_is_kept_and_the_next_run_goes_on(
    fetch: Callable[[], Path], server: Server, tmp_path: Path
) -> None:
    server.breaks_off_after = [1000] * 4
    with pytest.raises(CorpusError, match=r"broke off 4 times.*run it again to go on"):
        fetch()
    assert part_of(tmp_path, server).read_bytes() == server.content[:4000]
    assert fetch().is_dir()
    assert server.ranges[4:] == ["bytes=4000-"]


@pytest.mark.parametrize("says_length", [True, False], ids=["length", "chunked"])
def test_a_server_that_cannot_go_on_starts_over_and_that_is_said(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, says_length: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server.breaks_off_after, server.honours_range, server.says_length = [7000] * 4, False, says_length
    with caplog.at_level(logging.INFO, "cry_pipeline"), pytest.raises(CorpusError, match="broke off 4 times"):
        fetch()
    assert part_of(tmp_path, server).read_bytes() == server.content[:7000]
    assert caplog.text.count("starting over") == 3
    assert fetch().is_dir()


@pytest.mark.parametrize("rest", [b"longer than the archive" * 5000, b""], ids=["beyond the end", "another range"])
def test_a_rest_that_does_not_fit_what_is_there_is_not_appended(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, rest: bytes
) -> None:
    part = part_of(tmp_path, server)
    part.parent.mkdir()
    part.write_bytes(rest or server.content[:500])
    server.wrong_range = not rest
    assert fetch().is_dir()
    assert server.ranges[1] is None


def test_the_rest_of_another_archive_is_found_out_and_not_kept(
    fetch: Callable[[], Path], server: Server, tmp_path: Path
) -> None:
    part = part_of(tmp_path, server)
    part.parent.mkdir()
    part.write_bytes(archive({**FILES, "README.md": b"other"})[:9000])
    with pytest.raises(CorpusError, match=r"damaged|differing"):
        fetch()
    assert nothing_is_left(tmp_path)


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


def entry(name: str, mode: int = stat.S_IFREG | 0o644) -> zipfile.ZipInfo:
    """A member of an archive, whatever it is called."""
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (entry(f"{TOP}/../../evil.wav"), r"unsafe: it holds '.*evil\.wav'"),
        (entry("/tmp/evil.wav"), r"unsafe: it holds '/tmp/evil\.wav'"),  # noqa: S108
        (entry(f"{TOP}\\..\\..\\evil.wav"), "unsafe"),
        (entry("C:evil.wav"), "unsafe"),
        (entry(f"{TOP}/link", stat.S_IFLNK | 0o777), "unsafe"),
        (entry(f"{TOP}/pipe", stat.S_IFIFO | 0o644), "unsafe"),
        (entry("elsewhere/evil.wav"), "2 top-level entries"),
        (entry(f"{TOP}/README.md"), "damaged"),  # a second time
        (entry(f"{TOP}/README.md/evil.wav"), "damaged"),  # a file cannot be a folder too
    ],
    ids=lambda value: value.filename if isinstance(value, zipfile.ZipInfo) else "",
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_an_archive_with_an_unsafe_member_is_refused(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, member: zipfile.ZipInfo, said: str
) -> None:
    content = io.BytesIO(server.content)
    with zipfile.ZipFile(content, "a") as packed:
        packed.writestr(member, "../../evil.wav")
    server.content = content.getvalue()
    with pytest.raises(CorpusError, match=said):
        fetch()
    assert nothing_is_left(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpora", "list.sha256"]


@pytest.mark.parametrize(("limit", "most"), [("MAX_MEMBERS", 4), ("MAX_BYTES", 24_000)])
def test_an_archive_that_would_fill_the_disk_is_not_unpacked(
    fetch: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    monkeypatch.setattr(download, limit, most)
    with pytest.raises(CorpusError, match="far larger than the corpus"):
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


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses_is_not_taken_for_a_missing_network(
    fetch: Callable[[], Path], server: Server, status: int
) -> None:
    server.status = status
    with pytest.raises(CorpusError, match=f"answered {status} .*CRY_PIPELINE_CORPUS") as caught:
        fetch()
    assert not isinstance(caught.value, NoNetworkError)


def test_a_refused_connection_is_a_missing_network(server: Server, hashes: Path, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # bound, but nobody listens
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/archive.zip"
        with pytest.raises(NoNetworkError, match="cannot be reached"):
            fetch_corpus(tmp_path / "corpus", url=url, hashes=hashes)
    assert not (tmp_path / "corpus").exists()


def test_a_name_that_does_not_resolve_is_a_missing_network(
    hashes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_dns(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", no_dns)
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(NoNetworkError, match="Name or service not known"):
        fetch_corpus(tmp_path / "corpus", url="http://corpus.invalid/archive.zip", hashes=hashes)


def test_a_server_that_never_answers_is_given_up_on(
    hashes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(download, "READ_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/archive.zip"
        with pytest.raises(NoNetworkError, match="timed out"):
            fetch_corpus(tmp_path / "corpus", url=url, hashes=hashes)


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


@pytest.mark.corpus
def test_no_file_of_the_real_corpus_differs_from_the_packaged_list(corpus: Path) -> None:
    report = check_corpus(corpus)
    assert (report.differing, report.extra) == ((), ())
    assert not [path for path in report.missing if path.endswith(".wav")]
