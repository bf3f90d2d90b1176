"""Two nodes with one data root: one writes at a time, and the next has what it made."""

import time
from pathlib import Path

import pytest

from cry_pipeline.artefacts import write_json
from cry_pipeline.orchestration import lease
from cry_pipeline.orchestration.lease import LEASE, Lease, LeaseLostError
from cry_pipeline.orchestration.lock import BusyError, Holder, Process
from cry_pipeline.orchestration.writing import kept_up, refreshed, shared, writing
from cry_pipeline.settings import Settings
from cry_pipeline.storage.bucket import Bucket, PlaceError
from cry_pipeline.storage.root import DataRoot


@pytest.fixture
def nodes(bucket: str, tmp_path: Path) -> tuple[Settings, Settings]:
    """Settings of two nodes."""
    here, there = (Settings(data=tmp_path / name, data_root=f"{bucket}/root") for name in ("here", "there"))
    return here, there


def root_of(node: Settings) -> DataRoot:
    root = DataRoot.of(node)
    assert root is not None
    return root


def take_and_die(node: Settings) -> None:
    """Take the lease and never renew it."""
    dead = Lease(root_of(node).bucket, Holder(Process("far-away", 1, ""), "2026-01-01T00:00:00+00:00", "a dead run"))
    assert dead.take() is None


def test_the_next_to_write_has_what_the_one_before_made(nodes) -> None:
    here, there = nodes
    with writing(here, "the first run") as keep:
        write_json(here.folds / "a.json", {})
        keep()
        assert [*root_of(there).tree().files] == ["folds/a.json"]
        with (
            pytest.raises(BusyError, match=r"root is being written by the first run \(process"),
            writing(there, "the second run", wait_s=0),
        ):
            pytest.fail("two wrote at a time")
        write_json(here.folds / "b.json", {})
    with writing(there, "the second run", wait_s=0):
        assert sorted(path.name for path in there.folds.iterdir()) == ["a.json", "b.json"]
    assert LEASE not in [entry.path for entry in root_of(here).bucket.objects()]


def write_and_stop(node: Settings) -> None:
    with writing(node, "the test"):
        write_json(node.folds / "a.json", {})
        raise KeyboardInterrupt


def test_what_was_finished_is_kept_however_it_ends(nodes) -> None:
    here, there = nodes
    with pytest.raises(KeyboardInterrupt):
        write_and_stop(here)
    refreshed(there)
    assert (there.folds / "a.json").exists()


def test_a_dead_nodes_lease_is_taken_over_in_time(
    nodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = nodes
    take_and_die(there)
    with pytest.raises(BusyError, match=r"a dead run \(process 1 on far-away"), writing(here, "x", wait_s=0):
        pytest.fail("taken too early")
    monkeypatch.setattr(lease, "LEASE_S", 1.0)
    time.sleep(2.1)  # services tell whole seconds
    with writing(here, "the next run", wait_s=0):
        pass
    assert "taken over" in caplog.text


def write_too_long(node: Settings, other: Settings, other_ends: bool) -> None:
    with writing(node, "the stopped run"):
        write_json(node.folds / "a.json", {"of": "the stopped run"})
        time.sleep(2.1)
        with writing(other, "the next run", wait_s=0):
            write_json(other.folds / "a.json", {"of": "the next run"})
        if not other_ends:
            holder = Holder(Process.this(), "2026-01-01T00:00:00+00:00", "a run after that")
            assert Lease(root_of(other).bucket, holder).take() is None


@pytest.mark.parametrize("other_ends", [True, False])
def test_who_has_lost_the_lease_changes_nothing(nodes, other_ends: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = nodes
    monkeypatch.setattr(lease, "LEASE_S", 1.0)
    said = "another run, which has ended" if other_ends else r"a run after that \(process"
    with pytest.raises(LeaseLostError, match=said):
        write_too_long(here, there, other_ends)
    assert other_ends != (LEASE in [entry.path for entry in root_of(here).bucket.objects()])
    refreshed(there)
    assert "the next run" in (there.folds / "a.json").read_text()


def test_a_service_without_conditions_is_refused(nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    here, _ = nodes

    def whatever(self: Bucket, path: str, data: bytes, _: str | None) -> str:
        self.write(path, data)
        return "version"

    monkeypatch.setattr(Bucket, "write_over", whatever)
    with pytest.raises(PlaceError, match="ignores If-None-Match or If-Match"), writing(here, "the test"):
        pytest.fail("two could write at a time")


def test_a_service_that_is_away_for_a_moment_stops_nothing(
    nodes, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    here, there = nodes

    def away(*_: object) -> None:
        raise OSError("connection refused")

    with writing(here, "the test") as keep:
        write_json(here.folds / "a.json", {})
        with monkeypatch.context() as patch:
            patch.setattr(Bucket, "read_version", away)
            keep()
    assert "gets what was made later: connection refused" in caplog.text
    refreshed(there)
    assert (there.folds / "a.json").exists()


def test_whoever_reads_leaves_what_a_run_here_writes(nodes) -> None:
    here, there = nodes
    with writing(there, "the first run"):
        write_json(there.folds / "a.json", {})
    with writing(here, "the test"):
        (here.folds / "a.json").unlink()
        refreshed(here)
    refreshed(there)
    assert not (there.folds / "a.json").exists()


def test_judgements_wait_for_no_run(nodes) -> None:
    here, there = nodes
    with writing(there, "a long run"):
        with kept_up(here):
            write_json(here.judgements / "one.json", {})
        write_json(here.judgements / "two.json", {})
        shared(here)
        assert [*root_of(there).tree().files] == ["judgements/one.json", "judgements/two.json"]
    refreshed(there)
    assert len([*there.judgements.iterdir()]) == 2


def test_caches_are_emptied_where_another_node_has_withdrawn_somebody(nodes) -> None:
    here, there = nodes
    refreshed(here)
    refreshed(there)
    for node in nodes:
        write_json(node.cache / "probes.json", {"recording": "a"})
        write_json(node.corpus_copy / "of/a.json", {})
    with writing(there, "`cry-pipeline withdraw`"):
        write_json(there.withdrawn / "0123.json", {})
    refreshed(there)
    refreshed(here)
    assert (there.cache / "probes.json").exists()  # the withdrawal itself has seen to it
    assert not (here.cache / "probes.json").exists()
    assert (here.corpus_copy / "of/a.json").exists()
    write_json(here.cache / "probes.json", {})
    refreshed(here)
    assert (here.cache / "probes.json").exists()


def test_without_a_bucket_there_is_the_lock_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Bucket, "__init__", lambda *_: pytest.fail("there is no bucket"))
    with writing(settings, "the test") as keep:
        keep()
    refreshed(settings)
    shared(settings)
    with kept_up(settings):
        pass
    assert [path.name for path in settings.data.iterdir()] == [".writer.lock"]
