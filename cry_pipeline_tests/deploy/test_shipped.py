"""The shipped files of a deployment: they parse, agree with each other, and what they call and set exists.

What starts them is in test_production.py; checkers of others are in test_checkers.py.
"""

import importlib
import re
import shlex
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from dagster._core.instance.ref import InstanceRef
from dagster._core.workspace.config_schema import process_workspace_config
from typer.main import get_command

from cry_pipeline.command.main import app
from cry_pipeline.deploy.install import EXTRAS
from cry_pipeline.orchestration.code_location import CODE_LOCATION, MODULE
from cry_pipeline.orchestration.instance import instance_config
from cry_pipeline.settings import Settings
from cry_pipeline_tests.deploy import shipped

SERVICES = ("prepare", "code-server", "daemon", "webserver", "site")
NOT_THE_ENGINE = "docker.sock"
ALLOWED_VARIABLES = {"DAGSTER_HOME", "HOME", "PGPASSWORD", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    return shipped.compose()["services"]


def test_compose_and_units_run_the_same_commands() -> None:
    containers, units = shipped.of_compose(), shipped.of_units()
    assert tuple(containers) == SERVICES
    assert sorted(units) == sorted(SERVICES)
    for name in SERVICES:
        assert shipped.without_addresses(containers[name].command) == shipped.without_addresses(units[name].command)


@pytest.mark.parametrize("name", SERVICES)
def test_units_listen_on_loopback_alone(name: str) -> None:
    command = shipped.of_units()[name].command
    assert not [word for word in command if re.fullmatch(r"[\d.]{7,}", word) and word != "127.0.0.1"]


@pytest.mark.parametrize("name", SERVICES)
def test_programs_sub_commands_and_options_exist(name: str) -> None:
    service = shipped.of_compose()[name]
    for command in filter(None, (service.command, service.health)):
        _check_exists(shipped.program(command))
    assert shipped.of_units()[name].command[0].startswith(shipped.BIN)


def _check_exists(words: list[str]) -> None:
    program, *rest = words
    if program == "python":
        return
    if program == "cry-pipeline":
        command: Any = get_command(app)
    else:
        (entry,) = entry_points(group="console_scripts", name=program)
        command = getattr(importlib.import_module(entry.module), "cli", None) or _cli_of(entry.module)
    while commands := getattr(command, "commands", None):
        assert rest[0] in commands, words
        command, rest = commands[rest[0]], rest[1:]
    options = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in rest if re.match(r"--?[a-z]", word)} <= options, words


def _cli_of(module: str) -> Any:
    """The command of dagster's programs, which `main()` of their modules calls."""
    if module.startswith("dagster_webserver"):
        from dagster_webserver.cli import dagster_webserver

        return dagster_webserver
    if module.startswith("dagster._daemon"):
        from dagster._daemon.cli import create_dagster_daemon_cli

        return create_dagster_daemon_cli()
    from dagster._cli import create_dagster_cli

    return create_dagster_cli()


def test_settings_that_are_set_exist_and_secrets_come_from_the_user() -> None:
    known = {f"CRY_PIPELINE_{name.upper()}" for name in Settings.model_fields} | ALLOWED_VARIABLES
    for service in (*shipped.of_compose().values(), *shipped.of_units().values()):
        assert set(service.environment) <= known
    assert set(shipped.example_environment()) <= known
    assert shipped.example_environment()["PGPASSWORD"] == ""
    with pytest.raises(AssertionError, match="POSTGRES_PASSWORD"):
        shipped.compose(shipped.OF_A_USER | {"POSTGRES_PASSWORD": ""})


def test_settings_of_compose_and_units_are_allowed_values(monkeypatch: pytest.MonkeyPatch) -> None:
    for environment in (
        shipped.of_compose()["daemon"].environment,
        shipped.of_units()["daemon"].environment | shipped.example_environment(),
    ):
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        settings = Settings()
        assert str(settings.dagster_home) == environment["DAGSTER_HOME"]
        assert settings.decoder_cage == "require"
        assert settings.ui_address.endswith("/dagster")


def test_containers_can_change_little(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert not service["user"].startswith("0"), name
        assert not {"privileged", "cap_add", "network_mode", "pid"} & service.keys(), name
    assert NOT_THE_ENGINE not in (shipped.DEPLOY / "compose.yaml").read_text()


def test_containers_are_looked_after_and_only_the_proxy_is_reached_from_outside(services: dict[str, Any]) -> None:
    assert [name for name, service in services.items() if "healthcheck" not in service] == ["prepare"]
    assert [name for name, service in services.items() if "ports" in service] == ["proxy"]
    assert [name for name, service in services.items() if "outside" in service["networks"]] == ["proxy"]
    assert shipped.compose()["networks"]["inside"]["internal"] is True
    assert {service["image"] for service in services.values()} == {
        "cry-pipeline",
        services["database"]["image"],
        services["proxy"]["image"],
    }


def test_the_web_server_shows_and_starts_nothing() -> None:
    for services in (shipped.of_compose(), shipped.of_units()):
        assert "--read-only" in services["webserver"].command


def test_dagster_accepts_its_configuration_and_the_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dagster.yaml").write_text((shipped.DEPLOY / "dagster.yaml").read_text())
    monkeypatch.setenv("CRY_PIPELINE_DATABASE_URL", "postgresql+psycopg2://cry@nowhere/cry")
    InstanceRef.from_dir(str(tmp_path))
    config = instance_config(in_database=True)
    assert config["run_monitoring"]["max_resume_run_attempts"] == 0
    assert config["run_monitoring"]["max_runtime_seconds"] > 0
    assert config["run_retries"]["enabled"]
    assert not config["telemetry"]["enabled"]
    assert config["storage"] == {"postgres": {"postgres_url": {"env": "CRY_PIPELINE_DATABASE_URL"}}}
    assert "storage" not in instance_config(in_database=False)
    monkeypatch.setenv("CRY_PIPELINE_CODE_SERVER_HOST", "code-server")
    workspace = yaml.safe_load((shipped.DEPLOY / "workspace.yaml").read_text())
    assert process_workspace_config(workspace).success
    (server,) = (entry["grpc_server"] for entry in workspace["load_from"])
    for services in (shipped.of_compose(), shipped.of_units()):
        command = services["code-server"].command
        assert command[command.index("-p") + 1] == str(server["port"])
        assert command[command.index("-m") + 1] == MODULE
        assert command[command.index("--location-name") + 1] == server["location_name"] == CODE_LOCATION


def test_a_run_waits_for_a_code_server_longer_than_it_takes_to_start_one() -> None:
    """Without it, a run whose code server is away is failed at once, and so are its retries."""
    queue = instance_config(in_database=True)["run_queue"]
    assert queue["max_user_code_failure_retries"] * queue["user_code_failure_retry_delay"] >= 3600


def test_the_proxy_asks_who_is_there_and_logs_no_token() -> None:
    text = (shipped.DEPLOY / "nginx.conf").read_text()
    assert 'auth_basic "' in text
    assert "auth_basic off" not in text
    (log_format,) = re.findall(r"log_format \w+ '(.+)';", text)
    assert "$request " not in log_format
    assert not re.search(r"\$(request_uri|args|query_string|http_referer)", log_format)


def test_the_image_is_of_the_locked_versions_and_runs_as_nobody_in_particular() -> None:
    lines = (shipped.DEPLOY / "Containerfile").read_text().splitlines()
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    services = shipped.compose()["services"]
    assert users == [services["daemon"]["user"]]
    (installed,) = [
        shlex.split(line)[1:] for line in lines if line.startswith("RUN python cry_pipeline/deploy/install")
    ]
    assert installed[installed.index("--extra") + 1] in EXTRAS
    copied = [
        source for line in lines if line.startswith("COPY") and "--from" not in line for source in line.split()[1:-1]
    ]
    assert not [source for source in copied if not (shipped.REPOSITORY / source).exists()]
    ignored = (shipped.DEPLOY / "Containerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    roots = {source.split("/")[0] for source in copied}
    assert {line[1:] for line in ignored if line.startswith("!")} == roots
