"""What the services of a deployment allow and say: the read-only UI, the doctor, withdrawal."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from cry_pipeline.orchestration import database
from cry_pipeline_tests.deploy.machine import MINUTES, USER_ID
from cry_pipeline_tests.deploy.production import SERVICES, Production, Status
from cry_pipeline_tests.deploy.shipped import DEPLOY, OF_A_USER, Shipped
from cry_pipeline_tests.orchestration.installations import REFUSED, lay_in
from cry_pipeline_tests.processes import wait_until

pytestmark = pytest.mark.deploy


def test_the_web_server_shows_and_refuses_to_start_anything(production: Production) -> None:
    def asked(query: str) -> dict:
        code = (
            "import sys, urllib.request as r; print(r.urlopen(r.Request('http://127.0.0.1:3000/dagster/graphql', "
            "sys.argv[1].encode(), {'Content-Type': 'application/json'})).read().decode())"
        )
        done = production.machine.run("webserver", "python", "-c", code, json.dumps({"query": query}))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["data"]

    assert asked("{ runsOrError(limit: 5) { ... on Runs { results { jobName } } } }")["runsOrError"]["results"]
    (entry,) = asked("{ workspaceOrError { ... on Workspace { locationEntries { loadStatus name } } } }")[
        "workspaceOrError"
    ]["locationEntries"]
    assert entry == {"loadStatus": "LOADED", "name": "cry_pipeline.definitions"}
    runs = len(production.instance.get_runs())
    refused = asked(
        'mutation { launchRun(executionParams: {selector: {repositoryName: "__repository__", '
        'repositoryLocationName: "cry_pipeline.definitions", jobName: "everything"}}) { __typename } }'
    )
    assert refused["launchRun"]["__typename"] == "UnauthorizedError"
    assert len(production.instance.get_runs()) == runs


def test_the_root_of_a_service_cannot_be_written(production: Production) -> None:
    for place in ("/opt/cry_pipeline/cry_pipeline/new", "/new", "/var/lib/new"):
        assert production.machine.run("code-server", "touch", place).returncode != 0
    assert production.machine.run("code-server", "touch", "/tmp/new").returncode == 0  # noqa: S108 - its own


def test_the_proxy_asks_who_is_there_and_logs_no_token(production: Production) -> None:
    nginx, machine = shutil.which("nginx"), production.machine
    if nginx is None:
        pytest.skip("nginx is not installed (apt-get install nginx)")
    secrets, host = machine.base / "secrets", OF_A_USER["PUBLIC_URL"].removeprefix("https://")
    password = ["openssl", "passwd", "-apr1", "erraten"]
    hashed = subprocess.run(password, check=True, capture_output=True, text=True).stdout.strip()
    (secrets / "htpasswd").write_text(f"anna:{hashed}\n")
    certificate = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={host}"]
    files = ["-keyout", secrets / "tls.key", "-out", secrets / "tls.crt"]
    subprocess.run(["openssl", *certificate, *files], check=True, capture_output=True)
    (secrets / "tls.key").chmod(0o644)
    (machine.base / "nginx.conf").write_text((DEPLOY / "nginx.conf").read_text())
    command = [nginx, "-c", str(machine.base / "nginx.conf"), "-g", "daemon off;"]
    proxy = machine.start("proxy", Shipped("proxy", command, {}), user=101)

    def get(path: str, *options: str) -> tuple[int, str]:
        to = ["--resolve", f"{host}:8443:127.0.0.1", "-w", "\n%{http_code}", f"https://{host}:8443{path}"]
        done = subprocess.run(machine.inside("curl", "-sk", *options, *to), capture_output=True, text=True, check=False)
        body, _, code = done.stdout.rpartition("\n")
        return int(code or 0), body

    wait_until(lambda: not proxy.is_running() or get("/")[0], "the proxy answers")
    assert proxy.is_running(), proxy.said()
    known = ("-u", "anna:erraten")
    for path in ("/", "/health", "/dagster/server_info", "/review?token=geheimes"):
        assert get(path)[0] == get(path, "-u", "anna:falsch")[0] == 401
    assert get("/health", *known)[0] == 200
    assert get("/", *known)[0] in (200, 404)  # as there are reports, or none yet
    code, said = get("/dagster/server_info", *known)
    assert code == 200
    assert "dagster_webserver_version" in said
    assert get("/review?token=geheimes", *known)[0] == 403  # reaches the site, which knows no such link
    assert "geheimes" not in proxy.said()
    assert "anna" in proxy.said()
    assert subprocess.run(machine.inside("curl", "-sf", "http://127.0.0.1:8080/alive"), check=False).returncode == 0
    proxy.kill()


def doctor(production: Production, service: str = "site") -> tuple[int, str]:
    """Return the exit code of `cry-pipeline doctor` in a service, and what it says, on one line."""
    done = production.machine.run(service, "env", "COLUMNS=400", "cry-pipeline", "doctor")
    return done.returncode, " ".join((done.stdout + done.stderr).split())


def test_the_doctor_finds_all_well_and_says_what_is_not_and_what_to_do(production: Production) -> None:
    code, said = doctor(production)
    assert code == 0, said
    for words in (
        "the database cry_pipeline on database, PostgreSQL",
        "has loaded the code",
        "one works, last heard of",
    ):
        assert words in said
    for service, words in (
        ("daemon", "none holds the database's lock"),
        ("code-server", "nobody answers at code-server:4266: see that the service code-server runs"),
    ):
        production.machine.running[service].kill()
        code, said = doctor(production)
        assert code == 1
        assert words in said
    production.machine.stop_database()
    code, said = doctor(production)
    assert code == 1
    assert "the database cry_pipeline on database does not let this process in" in said
    assert "geheim" not in said
    assert "Traceback" not in said


def told(folder: Path, name: bytes) -> list[str]:
    """Return the files below a folder whose bytes hold ``name``."""
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and name in path.read_bytes()
    )


def store_as_it_is(url: str) -> None:
    """Let PostgreSQL compress no text from now on: in the bytes of its files, a compressed name is not to be found."""
    texts = (
        "SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables USING "
        "(table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND data_type = 'text'"
    )
    with database.connected(url) as connection:
        for table, column in connection.exec_driver_sql(texts).fetchall():
            connection.exec_driver_sql(f'ALTER TABLE "{table}" ALTER COLUMN "{column}" SET STORAGE EXTERNAL')


def test_a_donor_is_withdrawn_from_the_database_too(production: Production, counted) -> None:
    machine, donor = production.machine, REFUSED[:36]
    inbox = production.settings.inbox
    if inbox.exists():
        inbox.rmdir()
    lay_in(inbox)
    shutil.chown(inbox, USER_ID)  # made by root here; a service's is its own
    store_as_it_is(machine.database_url)
    production.wait_for(production.ask("ingest"), Status.SUCCESS)
    with database.connected(machine.database_url) as connection:
        connection.exec_driver_sql("CHECKPOINT")  # files are read here, which have it minutes later
    tables = machine.base / "database" / "base"
    before = told(tables, donor.encode())
    assert before
    for name in SERVICES:
        machine.running[name].kill()
    environment = machine.running["site"].shipped.environment
    command = ["cry-pipeline", "withdraw", "--donor", donor, "--yes"]
    withdrawn = machine.start("withdraw", Shipped("withdraw", command, environment))
    assert withdrawn.process.wait(10 * MINUTES) == 0, withdrawn.said()
    assert "Dagster's runs" in withdrawn.said()
    assert "write-ahead log" in withdrawn.said()
    assert "a search of all bytes finds nothing" in withdrawn.said()
    assert told(tables, donor.encode()) == []
    assert told(production.settings.data, donor.encode()) == []
    counted(files_of_the_database_that_told_before=len(before), after=0)
