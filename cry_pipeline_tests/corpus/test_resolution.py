"""The corpus in use is the one that was asked for, and a synthetic one is never passed off as real."""

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from cry_pipeline.corpus.download import CorpusError, NoNetworkError
from cry_pipeline.corpus.resolution import read_resolution, resolve_corpus, write_resolution
from cry_pipeline.corpus.sources import LAYOUT
from cry_pipeline.settings import Settings
from cry_pipeline.storage.bucket import Bucket

Make = Callable[..., Path]


def make_corpus(folder: Path, *, synthetic: bool = False, **_: object) -> Path:
    """A corpus without recordings."""
    for name in LAYOUT:
        (folder / name).mkdir(parents=True)
    if synthetic:
        (folder / "corpus.json").write_text('{"source": "synthetic"}')
    return folder


def make_synthetic(folder: Path) -> Path:
    """What generate_corpus would make."""
    return make_corpus(folder, synthetic=True)


def no_network(*_: object, **__: object) -> Path:
    """A fetch on a machine without a network."""
    raise NoNetworkError("https://example.org cannot be reached: no route to host")


def never(*_: object, **__: object) -> Path:
    """What must not be called."""
    raise AssertionError("this should not have been called")


def configured(settings: Settings, corpus: Path) -> Settings:
    """``settings`` with CRY_PIPELINE_CORPUS set."""
    return settings.model_copy(update={"corpus": corpus})


def test_the_configured_corpus_comes_first(settings: Settings, tmp_path: Path) -> None:
    mine = make_corpus(tmp_path / "mine")
    make_corpus(settings.corpora / "donateacry-corpus")
    resolved = resolve_corpus(configured(settings, mine), fetch=never, generate=never)
    assert (resolved.path, resolved.how, resolved.synthetic) == (mine, "configured", False)
    assert "CRY_PIPELINE_CORPUS" in resolved.notice


def test_of_a_corpus_in_a_bucket_a_copy_is_used_that_follows_it(settings: Settings, bucket: str) -> None:
    place = Bucket(f"{bucket}/corpus")
    for name in LAYOUT:
        place.write(f"{name}/one.wav", b"one")
    mine = settings.model_copy(update={"corpus": place.uri})
    resolved = resolve_corpus(mine, fetch=never, generate=never)
    assert (resolved.path, resolved.how, resolved.synthetic) == (mine.corpus_copy, "configured", False)
    assert f"a copy of {place.uri}" in resolved.notice
    before = {path: path.stat().st_mtime_ns for path in mine.corpus_copy.rglob("*.wav")}
    assert len(before) == len(LAYOUT)
    place.write(f"{next(iter(LAYOUT))}/two.wav", b"two")
    resolve_corpus(mine, fetch=never, generate=never)
    after = {path: path.stat().st_mtime_ns for path in mine.corpus_copy.rglob("*.wav")}
    assert len(after) == len(before) + 1
    assert before.items() <= after.items()  # fetched once
    with pytest.raises(OSError, match="no-such-bucket-of-ours"):
        resolve_corpus(mine.model_copy(update={"corpus": "s3://no-such-bucket-of-ours/corpus"}))


@pytest.mark.parametrize("lacking", ["everything", "one folder"])
def test_a_configured_folder_that_is_no_corpus_is_an_error_and_not_replaced(
    settings: Settings, tmp_path: Path, lacking: str
) -> None:
    make_corpus(settings.corpora / "donateacry-corpus")
    if lacking == "one folder":
        (make_corpus(tmp_path / "mine") / "donateacry-ios-upload-bucket").rmdir()
    with pytest.raises(
        CorpusError, match=r"mine .* is not a donateacry-corpus: .*donateacry-ios-upload-bucket\. Point"
    ):
        resolve_corpus(configured(settings, tmp_path / "mine"), fetch=never, generate=never)


def test_a_corpus_in_the_data_folder_is_found_without_a_network(settings: Settings) -> None:
    make_corpus(settings.corpora / "donateacry-corpus")
    resolved = resolve_corpus(settings, fetch=never, generate=never)
    assert (resolved.path, resolved.how) == (settings.corpora / "donateacry-corpus", "found")


def test_the_public_corpus_is_fetched_in_a_few_seconds_or_not_at_all(settings: Settings) -> None:
    asked = []

    def fetch(folder: Path, **options: float) -> Path:
        asked.append(options["connect_timeout_s"])
        return make_corpus(folder)

    resolved = resolve_corpus(settings, fetch=fetch, generate=never)
    assert (resolved.path, resolved.how, resolved.synthetic) == (
        settings.corpora / "donateacry-corpus",
        "fetched",
        False,
    )
    assert asked == [5.0]


def test_without_a_network_a_synthetic_corpus_is_generated_and_that_is_a_warning(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "cry_pipeline"):
        resolved = resolve_corpus(settings, fetch=no_network, generate=make_synthetic)
    assert (resolved.path, resolved.how, resolved.synthetic) == (settings.corpora / "synthetic", "generated", True)
    assert resolved.notice.startswith("SYNTHETIC DATA")
    assert "no route to host" in caplog.text
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [resolved.notice]


def test_a_synthetic_corpus_of_an_earlier_run_is_used_again_but_only_without_a_network(settings: Settings) -> None:
    make_synthetic(settings.corpora / "synthetic")
    assert resolve_corpus(settings, fetch=no_network, generate=never).synthetic
    assert resolve_corpus(settings, fetch=make_corpus, generate=never).how == "fetched"


def test_a_fetch_that_fails_although_there_is_a_network_is_not_papered_over(settings: Settings) -> None:
    make_synthetic(settings.corpora / "synthetic")

    def differs(*_: object, **__: object) -> Path:
        raise CorpusError("3 differing")

    with pytest.raises(CorpusError, match="3 differing"):
        resolve_corpus(settings, fetch=differs, generate=never)


@pytest.mark.parametrize("place", ["configured", "found"])
def test_a_synthetic_corpus_counts_as_synthetic_wherever_it_lies(
    settings: Settings, tmp_path: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    if place == "configured":
        settings = configured(settings, make_synthetic(tmp_path / "mine"))
    else:
        make_synthetic(settings.corpora / "donateacry-corpus")
    resolved = resolve_corpus(settings, fetch=never, generate=never)
    assert (resolved.how, resolved.synthetic) == (place, True)
    assert resolved.notice in caplog.text


def test_an_empty_folder_does_not_count_as_found(settings: Settings) -> None:
    (settings.corpora / "donateacry-corpus").mkdir(parents=True)
    assert resolve_corpus(settings, fetch=no_network, generate=make_synthetic).how == "generated"


def test_a_resolution_is_read_back_as_it_was_written_with_the_whole_path(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_corpus(tmp_path / "mine")
    resolved = resolve_corpus(configured(settings, Path("mine")), fetch=never, generate=never)
    write_resolution(resolved, settings.manifests)
    read = read_resolution(settings.manifests)
    assert read.path == tmp_path / "mine"
    assert (read.how, read.synthetic, read.notice) == (resolved.how, resolved.synthetic, resolved.notice)


@pytest.mark.parametrize("content", [None, "", "[]", '{"path": "x"}', '{"how": "found"}'])
def test_a_resolution_that_is_not_there_or_damaged_says_what_to_do(settings: Settings, content: str | None) -> None:
    if content is not None:
        settings.manifests.mkdir(parents=True)
        (settings.manifests / "corpus.json").write_text(content)
    with pytest.raises(CorpusError, match=r"does not say which corpus is used .* materialize raw/inventory"):
        read_resolution(settings.manifests)
