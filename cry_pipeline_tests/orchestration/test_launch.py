"""Starting a run or the UI beside others on the same data: said, and refused where that was asked for."""

import pytest

from cry_pipeline.definitions import build_definitions
from cry_pipeline.orchestration.launch import materialize
from cry_pipeline.orchestration.lock import BusyError, hold, write_alone
from cry_pipeline.orchestration.ui import serve
from cry_pipeline.settings import Settings
from cry_pipeline_tests.command.test_main import run


def test_a_run_that_does_not_wait_is_refused_while_another_writes(settings: Settings) -> None:
    with write_alone(settings.data, "the test"):
        refused = run("run", "--wait", "0")
        with pytest.raises(BusyError, match=r"the test \(process"):
            materialize(build_definitions(settings), settings, wait_s=0.1)
    assert refused.returncode == 1
    assert "is being written by the test (process" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not settings.dagster_home.exists(), "nothing was recorded"


def test_a_second_ui_on_the_same_data_is_refused(settings: Settings) -> None:
    with (
        hold(settings.dagster_home.resolve() / ".ui.lock", "`cry-pipeline ui`"),
        pytest.raises(BusyError, match=r"`cry-pipeline ui` \(process"),
    ):
        serve(settings, "127.0.0.1", 3000)


def test_one_of_two_assets_that_are_made_together_is_refused_in_a_sentence(settings: Settings) -> None:
    with pytest.raises(ValueError, match=r"manifests/recordings.* cannot be selected like this: .*quarantine"):
        materialize(build_definitions(settings), settings, 'key:"manifests/recordings"')
