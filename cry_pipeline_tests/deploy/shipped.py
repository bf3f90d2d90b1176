"""The services of a deployment as the shipped files describe them: compose.yaml, and systemd's units.

Belongs here: reading them, as the engine and systemd do, as far as they use what those have. Does not: starting
anything (machine.py).
"""

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cry_pipeline.deploy.install import REPOSITORY

DEPLOY = REPOSITORY / "cry_pipeline" / "deploy"
UNITS = DEPLOY / "systemd"
PREFIX, DROP_IN = "cry-pipeline-", "cry-pipeline-.service.d"
BIN = "/opt/cry_pipeline/.venv/bin/"
"""Where image and units have the environment's programs."""
OF_A_USER = {
    "POSTGRES_PASSWORD": "geheim",
    "CORPUS": "/srv/corpus",
    "PUBLIC_URL": "https://cries.example.org",
}
"""What whoever deploys writes into `.env`."""


@dataclass(frozen=True)
class Shipped:
    """A service: what is called, and with which environment."""

    name: str
    command: list[str]
    environment: dict[str, str]
    health: list[str] | None = None
    """The command of its health check, in compose.yaml."""


def compose(values: dict[str, str] = OF_A_USER) -> dict[str, Any]:
    """Return compose.yaml with ``values`` for its variables, as the engine reads it."""

    def fill(match: re.Match[str]) -> str:
        name, operator, word = match.groups()
        if operator == ":?":
            assert values.get(name), f"{name}: {word}"
        return values.get(name) or (word if operator == ":-" else "")

    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"\$\{(\w+)(:[?-])?([^}]*)\}", fill, text))


def of_compose(values: dict[str, str] = OF_A_USER) -> dict[str, Shipped]:
    """Return the services of compose.yaml that run the pipeline's image."""
    services = compose(values)["services"]
    return {
        name: Shipped(name, service["command"], service["environment"], health(service))
        for name, service in services.items()
        if service["image"] == "cry-pipeline"
    }


def health(service: dict[str, Any]) -> list[str] | None:
    """Return the command of a service's health check."""
    if "healthcheck" not in service:
        return None
    kind, *command = service["healthcheck"]["test"]
    assert kind == "CMD"
    return command


def unit(path: Path) -> dict[str, list[str]]:
    """Return the settings of a unit, or a drop-in, by name: each is a list, as it may be said several times."""
    said: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line and line[0] not in "#[":
            name, _, value = line.partition("=")
            said.setdefault(name, []).append(value.strip())
    return said


def of_units() -> dict[str, Shipped]:
    """Return the services of the units, with the environment of the drop-in that all of them share."""
    common = unit(UNITS / DROP_IN / "hardening.conf")
    environment = dict(pair.split("=", 1) for line in common["Environment"] for pair in shlex.split(line))
    found = {}
    for path in sorted(UNITS.glob("*.service")):
        name, (command,) = path.stem.removeprefix(PREFIX), unit(path)["ExecStart"]
        found[name] = Shipped(name, shlex.split(command), environment)
    return found


def program(command: list[str]) -> list[str]:
    """Return a command without the folder of its program, as the image's PATH finds it."""
    return [command[0].removeprefix(BIN), *command[1:]]


def without_addresses(command: list[str]) -> list[str]:
    """Return a command without the addresses it listens on, the one thing in which containers differ from units."""
    addresses = ("0.0.0.0", "127.0.0.1")  # noqa: S104 - only compared
    return [word for word in program(command) if word not in addresses]


def example_environment() -> dict[str, str]:
    """Return what the example of the units' EnvironmentFile sets."""
    lines = (UNITS / "environment.example").read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def has_program(name: str) -> bool:
    """Whether a folder of PATH has the program."""
    return any(Path(folder, name).exists() for folder in os.environ["PATH"].split(os.pathsep))
