"""What is said of a PostgreSQL that cannot be used; the real one is in cry_pipeline_tests/deploy."""

import socket
from pathlib import Path

import pytest
import yaml

from cry_pipeline.command.doctor import OF_A_DEPLOYMENT, _FaultError
from cry_pipeline.orchestration import database
from cry_pipeline.orchestration.database import DatabaseError, connected, shown
from cry_pipeline.orchestration.instance import open_instance
from cry_pipeline.orchestration.launch import RecordsError, records_kept
from cry_pipeline.orchestration.ui import DeploymentError, serve
from cry_pipeline.settings import Settings, SettingsError, load_settings

NAME = "postgresql+psycopg2://anna:geheim@127.0.0.1:{port}/cries"


@pytest.fixture
def nobody() -> str:
    """The address of a database at a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    return NAME.format(port=port)


def test_a_database_that_does_not_answer_is_said_without_the_password(nobody: str, tmp_path: Path) -> None:
    said = r"the database cries on 127.0.0.1 does not let this process in \(.*refused.*\): see that it runs"
    with pytest.raises(DatabaseError, match=said) as raised, connected(nobody):
        pytest.fail("somebody answers")
    assert "geheim" not in str(raised.value)
    settings = Settings(data=tmp_path, database_url=nobody)
    with pytest.raises(DatabaseError, match=said), records_kept(settings.dagster_home):
        open_instance(settings)
    written = yaml.safe_load((settings.dagster_home / "dagster.yaml").read_text())
    assert written["storage"]["postgres"]["postgres_url"] == {"env": "CRY_PIPELINE_DATABASE_URL"}
    assert "geheim" not in (settings.dagster_home / "dagster.yaml").read_text()


@pytest.mark.parametrize("name", ["database", "tables", "daemon", "code server"])
def test_each_look_of_the_doctor_says_a_fault_in_a_sentence(name: str, nobody: str, tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, database_url=nobody, code_server_host="no-such-host.invalid")
    with pytest.raises(_FaultError, match=r"see that (it|the service code-server) runs"):
        OF_A_DEPLOYMENT[name](settings)


def test_an_address_without_its_driver_is_refused_and_never_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRY_PIPELINE_DATABASE_URL", "postgresql://anna:geheim@host/cries")
    with pytest.raises(SettingsError, match=r"write postgresql\+psycopg2://") as raised:
        load_settings()
    assert "geheim" not in str(raised.value)


def test_what_talks_to_it_has_to_be_installed(monkeypatch: pytest.MonkeyPatch, nobody: str) -> None:
    monkeypatch.setattr(database, "find_spec", lambda _: None)
    with pytest.raises(DatabaseError, match=r"pip install 'cry-pipeline\[deploy\]'"), connected(nobody):
        pytest.fail("it was not missed")


def test_a_database_that_is_lost_in_the_middle_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordsError, match="does not answer any more"), records_kept(tmp_path):
        raise RuntimeError("(psycopg2.OperationalError) server closed the connection unexpectedly")


def test_a_deployment_has_no_ui_of_one_process(tmp_path: Path, nobody: str) -> None:
    with pytest.raises(DeploymentError, match=r"docs/deployment\.md"):
        serve(Settings(data=tmp_path, database_url=nobody), "127.0.0.1", print)


def test_what_is_shown_of_an_address_is_no_secret() -> None:
    assert shown(NAME.format(port=5432)) == "the database cries on 127.0.0.1"
    none = NAME.format(port="fifty")
    assert shown(none) == "the database of CRY_PIPELINE_DATABASE_URL"
    with pytest.raises(DatabaseError) as raised, connected(none):
        pytest.fail("somebody answers")
    assert "geheim" not in str(raised.value)
