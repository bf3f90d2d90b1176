"""`cry-pipeline run`: what it says at its end."""

from pathlib import Path

import pytest

from cry_pipeline import definitions
from cry_pipeline.command import run as command
from cry_pipeline.command.run import run
from cry_pipeline.orchestration import launch


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that nothing is computed in."""
    monkeypatch.setenv("CRY_PIPELINE_DATA", str(tmp_path / "my data"))
    monkeypatch.setattr(command, "log_to_terminal", lambda: None)  # what it sets up would outlive the test
    monkeypatch.setattr(definitions, "build_definitions", lambda where: None)
    monkeypatch.setattr(launch, "materialize", lambda *given, **more: 3)
    return tmp_path / "my data"


def test_the_address_of_the_first_page_is_said_and_no_other(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(select=None, study=False, wait=None)
    assert "file:" not in capsys.readouterr().out, "there is none yet"
    (data / "reports").mkdir(parents=True)
    for name in ("index.html", "leaderboard.html"):
        (data / "reports" / name).touch()
    run(select=None, study=False, wait=None)
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if "file:" in line] == [(data / "reports" / "index.html").resolve().as_uri()]
