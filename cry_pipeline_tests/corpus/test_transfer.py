"""What servers can do wrong is survived: a transfer is gone on with, begun anew or given up on, and always ends."""

import logging
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cry_pipeline.corpus import transfer
from cry_pipeline.corpus.download import CorpusError, NoNetworkError, fetch_corpus
from cry_pipeline_tests.corpus.archive_server import FILES, Server, archive, nothing_is_left, part_of


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


def test_a_file_that_changed_meanwhile_is_not_gone_on_with(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole, server.content = server.content, archive({**FILES, "README.md": b"other"})
    server.breaks_off_after = [1000] * 4
    with pytest.raises(CorpusError, match="broke off 4 times"):
        fetch()
    server.content, server.etag = whole, '"two"'
    with caplog.at_level(logging.INFO, "cry_pipeline"):
        assert fetch().is_dir()
    assert "starting over" in caplog.text
    assert server.ranges[4:] == ["bytes=4000-"]


@pytest.mark.parametrize("etag", ['"two"', ""], ids=["another's", "nobody's"])
def test_a_rest_that_does_not_say_that_it_is_of_the_same_file_is_not_appended(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, etag: str
) -> None:
    whole, server.content = server.content, archive({**FILES, "README.md": b"other"})
    server.breaks_off_after = [1000] * 4
    with pytest.raises(CorpusError, match="broke off 4 times"):
        fetch()
    server.content, server.etag, server.honours_if_range = whole, etag, False
    assert fetch().is_dir()
    assert server.ranges[4:] == ["bytes=4000-", None]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_a_file_that_cannot_be_told_from_another_is_fetched_anew(
    fetch: Callable[[], Path], server: Server, etag: str
) -> None:
    server.etag, server.breaks_off_after = etag, [1000]
    assert fetch().is_dir()
    assert server.ranges == [None, None]


def test_a_redirect_within_the_host_is_followed(fetch: Callable[[], Path], server: Server) -> None:
    server.redirects = ["/elsewhere.zip", server.url]
    assert fetch().is_dir()


@pytest.mark.parametrize(
    "target",
    ["http://localhost:1/a.zip", "file:///etc/passwd", "ftp://127.0.0.1/a.zip", "//127.0.0.2/a.zip", "http://[1", ""],
)
def test_a_redirect_that_leads_elsewhere_is_not_followed(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, target: str
) -> None:
    server.redirects = [target]
    with pytest.raises(CorpusError, match="not followed") as caught:
        fetch()
    assert not isinstance(caught.value, NoNetworkError)
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize(
    ("target", "followed"),
    [
        ("https://codeload.github.com/a/zip/b", True),
        ("http://codeload.github.com/a/zip/b", False),
        ("https://github.com.example/a", False),
        ("https://notgithub.com/a", False),
        ("https://github.com@example.org/a", False),
    ],
)
def test_a_redirect_stays_encrypted_and_with_the_host(target: str, followed: bool) -> None:
    if followed:
        assert transfer.redirected("https://github.com/a.zip", target) == target
    else:
        with pytest.raises(CorpusError, match="not followed"):
            transfer.redirected("https://github.com/a.zip", target)


def test_the_body_of_a_redirect_is_not_read(fetch: Callable[[], Path], server: Server) -> None:
    server.redirects, server.endless = ["http://elsewhere.example/"], bytes(10_000)
    with pytest.raises(CorpusError, match="not followed"):
        fetch()


def test_redirects_in_a_circle_end(fetch: Callable[[], Path], server: Server) -> None:
    server.redirects = ["/archive.zip"] * 50
    with pytest.raises(CorpusError, match="redirects"):
        fetch()
    assert len(server.ranges) < 10


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_larger_than_any_corpus_is_not_received(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, announced: bool
) -> None:
    monkeypatch.setattr(transfer, "MAX_TRANSFER_BYTES", 100_000)
    if announced:
        server.says = {"Content-Length": "100001"}
    else:
        server.says_length, server.endless = False, bytes(1000)
    with pytest.raises(CorpusError, match="far larger than the corpus"):
        fetch()
    assert nothing_is_left(tmp_path)
    assert len(server.ranges) == 1


@pytest.mark.parametrize("length", ["-5", "1e3", "9" * 5000], ids=["negative", "no integer", "5,000 digits"])
def test_a_length_that_is_none_is_a_clear_error_or_ignored(
    fetch: Callable[[], Path], server: Server, length: str
) -> None:
    server.says = {"Content-Length": length}
    try:
        assert fetch().is_dir()
    except CorpusError as error:
        assert "far larger" in str(error)  # noqa: PT017


def test_a_body_longer_than_announced_is_cut_and_found_out(
    fetch: Callable[[], Path], server: Server, tmp_path: Path
) -> None:
    server.says = {"Content-Length": str(len(server.content) - 10)}
    with pytest.raises(CorpusError, match="is damaged"):
        fetch()
    assert nothing_is_left(tmp_path)


def test_an_answer_that_is_packed_although_it_should_not_be_is_refused(
    fetch: Callable[[], Path], server: Server, tmp_path: Path
) -> None:
    server.says = {"Content-Encoding": "gzip"}
    with pytest.raises(CorpusError, match="'gzip'"):
        fetch()
    assert nothing_is_left(tmp_path)


def test_a_trickle_is_broken_off(fetch: Callable[[], Path], server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "GRACE_S", 0.1)
    monkeypatch.setattr(transfer, "SLOWEST_BYTES_PER_S", 1e6)
    server.pause_s = 0.01
    with pytest.raises(CorpusError, match="slower than"):
        fetch()


def test_two_that_fetch_at_once_do_not_write_one_file(
    fetch: Callable[[], Path], server: Server, tmp_path: Path
) -> None:
    with ThreadPoolExecutor() as pool:
        server.pause_s = 0.001
        first = pool.submit(fetch)
        while not server.ranges:
            time.sleep(0.01)
        with pytest.raises(CorpusError, match="another process"):
            fetch()
        server.pause_s = 0.0
        assert first.result().is_dir()
    assert [path.name for path in (tmp_path / "corpora").iterdir()] == ["corpus"]


@pytest.mark.parametrize("rest", [b"longer than the archive" * 5000, b""], ids=["beyond the end", "another range"])
def test_a_rest_that_does_not_fit_what_is_there_is_not_appended(
    fetch: Callable[[], Path], server: Server, tmp_path: Path, rest: bytes
) -> None:
    part = part_of(tmp_path, server)
    part.parent.mkdir()
    part.write_bytes(rest or server.content[:500])
    part.with_suffix(".etag").write_text(server.etag)
    server.wrong_range = not rest
    assert fetch().is_dir()
    assert server.ranges[1] is None


def test_the_rest_of_another_archive_is_found_out_and_not_kept(
    fetch: Callable[[], Path], server: Server, tmp_path: Path
) -> None:
    part = part_of(tmp_path, server)
    part.parent.mkdir()
    part.write_bytes(archive({**FILES, "README.md": b"other"})[:9000])
    part.with_suffix(".etag").write_text(server.etag)  # the server lies
    with pytest.raises(CorpusError, match=r"damaged|differing"):
        fetch()
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_server_that_refuses_is_not_taken_for_a_missing_network(
    fetch: Callable[[], Path], server: Server, status: int
) -> None:
    server.status = status
    with pytest.raises(CorpusError, match=f"answered {status}: .*CRY_PIPELINE_CORPUS") as caught:
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
    monkeypatch.setattr(transfer, "READ_TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/archive.zip"
        with pytest.raises(NoNetworkError, match="timed out"):
            fetch_corpus(tmp_path / "corpus", url=url, hashes=hashes)


def test_a_lock_that_its_holder_has_removed_meanwhile_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    with path.open("a") as lock:
        path.unlink()
        assert not transfer.locked(lock, path)
        path.touch()
        assert not transfer.locked(lock, path)
    with path.open("a") as lock:
        assert transfer.locked(lock, path)
