"""What Dagster says of an installation, asked by GraphQL: what a page shows is held against it.

Belongs here: questions and their answers as plain data. Does not: pages.
"""

from dataclasses import dataclass
from typing import Any

import requests

from cry_pipeline_tests.processes import wait_until

MINUTES = 60.0
ASSETS = """{ assetNodes {
  assetKey { path } staleStatus staleCauses { key { path } category reason }
  assetMaterializations(limit: 1) { runId metadataEntries { label
    ... on IntMetadataEntry { intValue } ... on FloatMetadataEntry { floatValue }
    ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } } }
  assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
} }"""
RUNS = """{ runsOrError(limit: 20) { ... on Runs { results {
  id status jobName assetSelection { path } tags { key value } repositoryOrigin { repositoryLocationName }
} } } }"""


@dataclass(frozen=True)
class Asset:
    """An asset of the graph: whether it is as its code and inputs say, its last materialization, its checks."""

    key: str
    status: str
    causes: list[str]
    run: str | None
    metadata: dict[str, Any]
    checks: dict[str, str | None]


@dataclass(frozen=True)
class Run:
    """A run: its job, how it stands, and what it was asked to materialize."""

    id: str
    status: str
    job: str
    assets: set[str]
    tags: dict[str, str]
    location: str | None


class Dagster:
    """The GraphQL endpoint of a UI at ``address``."""

    def __init__(self, address: str) -> None:
        self.address = address

    def ask(self, question: str) -> Any:
        """Return what the server answers to ``question``; an error of it is one of the test."""
        answer = requests.post(f"{self.address}/graphql", json={"query": question}, timeout=60).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def assets(self) -> dict[str, Asset]:
        """Return the assets of the graph by their key, written with slashes."""
        return {asset.key: asset for asset in map(_asset, self.ask(ASSETS)["assetNodes"])}

    def stale(self) -> set[str]:
        """Return the keys of the assets that are not as their code and inputs say, or are not there."""
        return {key for key, asset in self.assets().items() if asset.status != "FRESH"}

    def runs(self) -> list[Run]:
        """Return the last runs, the newest first."""
        return [_run(run) for run in self.ask(RUNS)["runsOrError"]["results"]]

    def run(self, name: str) -> Run:
        """Return the run with this id."""
        return next(run for run in self.runs() if run.id == name)

    def wait_for_run(self, name: str, status: str = "SUCCESS", timeout_s: float = 4 * MINUTES) -> Run:
        """Return the run once it has ended, as ``status``."""
        ended = ("SUCCESS", "FAILURE", "CANCELED")
        wait_until(lambda: self.run(name).status in ended, f"run {name} ends", timeout_s)
        run = self.run(name)
        assert run.status == status, run
        return run


def _asset(node: dict[str, Any]) -> Asset:
    last = next(iter(node["assetMaterializations"]), None)
    entries = last["metadataEntries"] if last else []
    checks = node["assetChecksOrError"].get("checks", [])
    return Asset(
        key="/".join(node["assetKey"]["path"]),
        status=node["staleStatus"],
        causes=[f"{'/'.join(cause['key']['path'])}: {cause['reason']}" for cause in node["staleCauses"]],
        run=last and last["runId"],
        metadata={entry.pop("label"): next(iter(entry.values()), None) for entry in entries},
        checks={check["name"]: (check["executionForLatestMaterialization"] or {}).get("status") for check in checks},
    )


def _run(run: dict[str, Any]) -> Run:
    origin = run["repositoryOrigin"] or {}
    return Run(
        run["id"],
        run["status"],
        run["jobName"],
        {"/".join(key["path"]) for key in run["assetSelection"] or []},
        {tag["key"]: tag["value"] for tag in run["tags"]},
        origin.get("repositoryLocationName"),
    )
