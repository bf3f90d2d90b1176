"""Dagster's configuration: one run at a time, watched; it follows the shipped one, and never overwrites an edit."""

import hashlib
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.run_coordinator import QueuedRunCoordinator

from cry_pipeline.orchestration import instance as module
from cry_pipeline.orchestration.instance import InstanceError, follow, instance_config, open_instance
from cry_pipeline.settings import Settings


def test_runs_are_queued_one_at_a_time_watched_and_retried_when_their_process_dies(settings: Settings) -> None:
    with open_instance(settings) as instance:
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        assert instance.get_concurrency_config().run_queue_config is not None
        assert instance.get_concurrency_config().run_queue_config.max_concurrent_runs == 1  # pyright: ignore[reportOptionalMemberAccess]
        assert instance.run_monitoring_enabled
        assert 0 < instance.run_monitoring_max_runtime_seconds <= 24 * 3600
        assert instance.run_launcher.supports_check_run_worker_health
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 2
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled


def test_in_the_terminal_the_same_instance_keeps_no_copy_of_what_steps_print(settings: Settings) -> None:
    with open_instance(settings) as ui:
        run = ui.create_run_for_job(dg.GraphDefinition("nothing").to_job())
    with open_instance(settings, in_terminal=True) as instance:
        assert instance.has_run(run.run_id)
        assert type(instance.compute_log_manager).__name__ == "NoOpComputeLogManager"


def test_the_file_follows_what_is_shipped(tmp_path: Path) -> None:
    path = tmp_path / "dagster.yaml"
    follow(path, {"telemetry": {"enabled": True}})
    follow(path, {"telemetry": {"enabled": False}, "nux": {"enabled": False}})
    assert yaml.safe_load(path.read_text()) == {"telemetry": {"enabled": False}, "nux": {"enabled": False}}


def test_a_file_of_before_the_mark_follows_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dagster.yaml"
    before = "telemetry:\n  enabled: false\n"
    path.write_text(before)
    monkeypatch.setattr(module, "BEFORE_THE_MARK", {hashlib.sha256(before.encode()).hexdigest()})
    follow(path, instance_config(in_database=False))
    assert yaml.safe_load(path.read_text()) == instance_config(in_database=False)


@pytest.mark.parametrize("edit", ["changed", "a file of one's own"])
def test_an_edited_file_is_kept_and_what_differs_is_said(
    edit: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "dagster.yaml"
    if edit == "changed":
        follow(path, {"telemetry": {"enabled": False}, "run_retries": {"enabled": True}})
        path.write_text(path.read_text().replace("telemetry:\n  enabled: false", "telemetry:\n  enabled: true"))
    else:
        path.write_text("telemetry: {enabled: true}\nrun_retries: {enabled: true}\n")
    written = path.read_text()
    with caplog.at_level(logging.WARNING):
        follow(path, {"telemetry": {"enabled": False}, "run_retries": {"enabled": True}, "nux": {"enabled": False}})
    assert path.read_text() == written
    assert "telemetry is {'enabled': True}, shipped is {'enabled': False}" in caplog.text
    assert "nux is not there, shipped is {'enabled': False}" in caplog.text
    assert "run_retries" not in caplog.text


def test_an_edit_that_says_the_same_is_nothing_to_speak_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "dagster.yaml"
    path.write_text("# mine\nnux: {enabled: false}\n")
    with caplog.at_level(logging.WARNING):
        follow(path, {"nux": {"enabled": False}})
    assert path.read_text().startswith("# mine")
    assert not caplog.text


HEADER = 3
"""A byte of the words that a database of SQLite begins with."""


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[HEADER] ^= 8
    path.write_bytes(content)


def stand_in(make: Callable[[Path], object]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        path.unlink()
        make(path)

    return damage


@pytest.mark.parametrize("name", module.DATABASES)
@pytest.mark.parametrize(
    "damage",
    [
        flip,
        lambda path: os.truncate(path, 5000),
        stand_in(os.mkdir),
        stand_in(os.mkfifo),
        stand_in(lambda path: path.symlink_to("/nowhere/at/all")),
    ],
    ids=["flipped", "cut", "folder", "pipe", "link"],
)
def test_a_damaged_database_is_said_with_its_file_and_the_way_out_which_leads_out(
    name: str, damage: Callable[[Path], None], settings: Settings
) -> None:
    open_instance(settings).dispose()
    damage(settings.dagster_home / name)
    with pytest.raises(InstanceError, match=rf"{name} is damaged .*: move .*dagster_home away, and run again"):
        open_instance(settings)
    settings.dagster_home.rename(settings.data / "away")
    open_instance(settings).dispose()


@pytest.mark.parametrize(
    "content",
    ["a: [", "a: &b [*b", "3", "- a", "retention: {purge_after_deys: 3}", "run_launcher: {module: no, class: X}"],
)
def test_settings_of_dagster_that_are_none_are_said_with_the_way_out(content: str, settings: Settings) -> None:
    open_instance(settings).dispose()
    (settings.dagster_home / "dagster.yaml").write_text(content)
    with pytest.raises(InstanceError, match=r"dagster\.yaml.*delete it to get the shipped one"):
        open_instance(settings)


def test_processes_that_open_a_fresh_home_at_once_all_can(settings: Settings) -> None:
    """As `make ui` and `make run` do when they are started together on a new data folder."""
    code = (
        "from cry_pipeline.orchestration.instance import open_instance\n"
        "from cry_pipeline.settings import Settings\n"
        "settings = Settings()\n"
        "print('ready', flush=True)\n"
        "input()\n"
        "open_instance(settings).dispose()\n"
    )
    environment = {**os.environ, "CRY_PIPELINE_DATA": str(settings.data)}
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    started = [subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, **pipes) for _ in range(4)]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120)[1] for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
