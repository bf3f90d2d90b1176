"""One data root, two nodes' working copies of it: each has what the other pushed, and neither loses anything."""

import os
from contextlib import suppress
from pathlib import Path

import pytest

from cry_pipeline.artefacts import DamagedFileError, NotAFileError
from cry_pipeline.settings import Settings
from cry_pipeline.storage.bucket import Bucket
from cry_pipeline.storage.root import FILES, TREE, DamagedRootError, DataRoot
from cry_pipeline.storage.tree import KEPT, PROBES, ContestedError, Tree, is_kept
from cry_pipeline.storage.working_copy import WorkingCopy

RUN = "runs/experiment/0123456789abcdef/fold-0-0/provenance.json"


@pytest.fixture
def nodes(bucket: str, tmp_path: Path) -> tuple[DataRoot, DataRoot]:
    """Two nodes."""
    here, there = (DataRoot(Bucket(f"{bucket}/some/root"), tmp_path / name) for name in ("here", "there"))
    return here, there


def write(node: DataRoot, path: str, text: str = "content") -> None:
    """Put a file into a node's working copy as all writers do: a new one in place of the old."""
    file = node.folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_name(".new")
    new.write_text(text)
    new.replace(file)


def files(node: DataRoot) -> dict[str, str]:
    """Return the files of the working copy that are of the data root."""
    paths = (path.relative_to(node.folder).as_posix() for path in node.folder.rglob("*") if path.is_file())
    return {path: (node.folder / path).read_text() for path in paths if is_kept(path)}


def test_every_folder_below_data_is_of_the_root_or_a_nodes_own(settings: Settings) -> None:
    own = {"cache", "corpora", "dagster_home", "inbox"}
    fields = [name for name, value in vars(Settings).items() if isinstance(value, property)]
    places = {name: getattr(settings, name) for name in fields}
    below = {
        place.relative_to(settings.data).parts[0]
        for place in places.values()
        if isinstance(place, Path) and place.is_relative_to(settings.data)
    }
    assert below - own == set(KEPT) - {PROBES}


def test_settings_put_all_else_into_the_bucket_too() -> None:
    settings = Settings(data_root="s3://bucket/root/", archive_root="s3://elsewhere/archive")
    assert (settings.features, settings.inbox_place) == ("s3://bucket/root/features", "s3://bucket/root/inbox")
    assert settings.archive == "s3://elsewhere/archive"
    assert DataRoot.of(Settings()) is None
    with pytest.raises(ValueError, match="no place in a bucket"):
        Settings(data_root="some/folder")


def test_what_one_node_pushes_another_pulls(nodes) -> None:
    here, there = nodes
    assert here.pull() == []
    for path in (PROBES, RUN, "models/champion.json", "secret.json", "withdrawn/.unfinished"):
        write(here, path)
    for path in ("cache/hashes.parquet", "manifests/corpus.json", "models/.champion.lock", "README.md", "runs/.new"):
        write(here, path)
    pushed = here.push()
    assert pushed == [PROBES, "models/champion.json", RUN, "secret.json", "withdrawn/.unfinished"]
    assert here.push() == []
    assert there.pull() == pushed
    assert there.pull() == []
    assert files(there) == dict.fromkeys(pushed, "content")
    assert (there.folder / "secret.json").stat().st_mode & 0o777 == 0o600
    assert there.push() == []


def test_changes_and_removals_go_both_ways(nodes) -> None:
    here, there = nodes
    write(here, RUN)
    write(here, "reports/index.html", "one")
    here.push()
    there.pull()
    write(there, "reports/index.html", "two")
    (there.folder / RUN).unlink()
    assert there.push() == ["reports/index.html", RUN]
    assert here.pull() == ["reports/index.html", RUN]
    assert files(here) == {"reports/index.html": "two"}
    assert not (here.folder / "runs").exists()  # nor a folder whose name tells


def test_a_file_that_was_lost_here_comes_back_and_is_not_lost_there(nodes) -> None:
    here, there = nodes
    write(here, RUN)
    here.push()
    (here.folder / RUN).unlink()
    assert here.pull() == [RUN]
    assert there.pull() == [RUN]


def test_some_subfolders_are_pulled_and_only_they_are_known(nodes) -> None:
    here, there = nodes
    write(here, RUN)
    write(here, "folds/cleaned_donor_grouped.parquet")
    here.push()
    assert there.pull(("folds",)) == ["folds/cleaned_donor_grouped.parquet"]
    write(there, "evidence/of/it.json")
    there.push()
    assert here.pull() == ["evidence/of/it.json"]
    assert RUN in here.tree().files


def test_staged_files_are_there_once_they_are_committed(nodes) -> None:
    worker, driver = nodes
    write(worker, RUN)
    write(worker, "runs/experiment/current.json")
    staged = worker.stage([str(Path(RUN).parent)])
    assert [*staged] == [RUN]
    assert driver.pull() == []
    driver.commit(staged)
    driver.commit(staged)
    assert driver.pull() == [RUN]
    assert worker.pull() == []


def test_each_adds_to_what_the_other_pushed_meanwhile(nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = nodes
    write(here, "judgements/one.json")
    write(there, "judgements/two.json")
    put, late = Bucket.write_over, list[str]()

    def too_late(self: Bucket, path: str, data: bytes, version: str | None) -> str:
        if not late:
            late.append("there")
            there.push()
        return put(self, path, data, version)

    with monkeypatch.context() as patch:
        patch.setattr(Bucket, "write_over", too_late)
        here.push()
    assert late
    here.pull()
    assert files(here) == {"judgements/one.json": "content", "judgements/two.json": "content"}


def test_what_decides_is_not_chosen_by_chance(nodes) -> None:
    here, there = nodes
    write(here, "models/champion.json", "one")
    write(there, "models/champion.json", "other")
    here.push()
    said = rf"models/champion\.json was changed in {there.folder}, and differently in s3://"
    with pytest.raises(ContestedError, match=said):
        there.push()
    with pytest.raises(ContestedError, match=said):
        there.pull()
    (there.folder / "models/champion.json").unlink()  # as it says
    there.pull()
    assert files(there) == {"models/champion.json": "one"}


def test_of_what_is_made_again_the_pushed_one_is_taken(nodes, caplog: pytest.LogCaptureFixture) -> None:
    here, there = nodes
    write(here, "manifests/recordings.parquet", "one")
    write(there, "manifests/recordings.parquet", "of a run that was killed")
    write(there, RUN, "that it had finished")
    here.push()
    there.pull()
    assert files(there) == {"manifests/recordings.parquet": "one", RUN: "that it had finished"}
    assert "manifests/recordings.parquet was also changed here" in caplog.text
    assert there.push() == [RUN]


def test_a_pull_that_is_cut_short_anywhere_goes_on(nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = nodes
    paths = [f"runs/experiment/0123/fold-0-{number}/part" for number in range(3)]
    for path in (*paths, "reports/index.html"):
        write(here, path, "old")
    here.push()
    readers = [DataRoot(there.bucket, there.folder / str(cut)) for cut in range(6)]
    for reader in readers:
        reader.pull()
    for path in (*paths[1:], "models/champion.json"):
        write(here, path, "new")
    (here.folder / paths[0]).unlink()
    here.push()
    step, calls = WorkingCopy.note, list[str]()
    for cut, reader in enumerate(readers):

        def note(self: WorkingCopy, path: str, content: object, last: int = cut) -> None:
            calls.append(path)
            if len(calls) > last:
                raise KeyboardInterrupt
            step(self, path, content)  # type: ignore[arg-type]

        calls.clear()
        with monkeypatch.context() as patch, suppress(KeyboardInterrupt):
            patch.setattr(WorkingCopy, "note", note)
            reader.pull()
        reader.pull()
        assert files(reader) == files(here)
        assert reader.push() == []


def test_damage_and_names_that_lead_out_are_refused(nodes) -> None:
    here, there = nodes
    write(here, RUN)
    here.push()
    (key,) = (one.path for one in here.bucket.objects(FILES))
    whole = here.bucket.read(key)
    here.bucket.write(key, b"another")
    with pytest.raises(DamagedRootError, match="not what was put there"):
        there.pull()
    here.bucket.remove(key)
    with pytest.raises(DamagedRootError, match="is not there"):
        there.pull()
    here.bucket.write(key, whole)
    content = here.tree().files[RUN]
    for path in ("../runs/x", "runs/../../x", "/etc/passwd", "cache/x", "runs//x", "runs/.x"):
        here.bucket.write(TREE, Tree({path: content}).data())
        with pytest.raises(DamagedFileError, match="no file of a data root"):
            there.pull()
    here.bucket.write(TREE, Tree({RUN: content}).data()[:-10])
    with pytest.raises(DamagedFileError, match="not what was written"):
        there.pull()
    assert files(there) == {}


def test_a_pipe_among_the_files_is_said(nodes) -> None:
    here, _ = nodes
    write(here, RUN)
    os.mkfifo(here.folder / "runs/pipe")
    with pytest.raises(NotAFileError):
        here.push()


def test_contents_that_no_tree_names_are_collected_in_time(nodes) -> None:
    here, there = nodes
    write(here, RUN, "one")
    here.push()
    write(here, RUN, "two")
    here.push()
    assert here.collect(change=True) == {}  # it may be that of a writer who is about to name it
    (key,) = here.collect(0, change=False)
    assert key.startswith(f"{FILES}/{RUN}/")
    assert here.collect(0, change=True) == {key: 3}
    assert here.collect(0, change=True) == {}
    there.pull()
    assert files(there) == {RUN: "two"}
