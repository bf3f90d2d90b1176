"""A tracking server of MLflow, as far as the mirror needs one: what is there of ours, and changing it.

Belongs here: MLflow's verbs, its limits, and that what goes wrong is a sentence. Does not: what is told of runs and
bundles (mirrored_runs.py, mirrored_models.py).
"""

import re
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cry_pipeline.quoting import shown
from cry_pipeline.tracking import KIND, PREFIX, client_of, group_of, place_of, told

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

NOTE, NAME, PARENT = "mlflow.note.content", "mlflow.runName", "mlflow.parentRunId"
"""MLflow's own tags: a description in Markdown, what a run is called, and the run that it is shown below."""
MODEL = PREFIX
"""The registered model that all bundles are versions of."""
AT_ONCE = 100
"""Values that MLflow takes in one call, and runs that it gives."""
LONGEST_TAG, LONGEST_PARAM, LONGEST_DESCRIPTION = 8000, 6000, 5000
LONGEST_KEY = 250
_OURS = f"name LIKE '{PREFIX}/%'"
UNFIT_FOR_KEYS = re.compile(r"^\.+|[^\w\-. :]")
"""What MLflow refuses in a name, or might take for a path."""


class Server:
    """What lies of this package's at the tracking server of ``uri``.

    Every call raises TrackingError where the server does not answer, or refuses.
    """

    def __init__(self, uri: str) -> None:
        self.uri, self.place = uri, place_of(uri)
        self._client = client_of(uri)

    def runs(self, kind: str) -> "list[Run]":
        """Return the runs of a kind, those that somebody deleted there apart."""
        found: list[Run] = []
        with self._told():
            groups = [each.experiment_id for each in self._client.search_experiments(filter_string=_OURS)]
            token = None
            while groups:
                page = self._client.search_runs(groups, f"tags.`{KIND}` = '{kind}'", 1, AT_ONCE, page_token=token)
                found += page
                token = page.token
                if not token:
                    break
        return found

    def new_run(self, cohort: str, name: str, tags: Mapping[str, str], started_ms: int) -> str:
        """Begin a run among those on a cohort; return MLflow's id of it."""
        group = group_of(self._client, self.uri, cohort)
        with self._told():
            run = self._client.create_run(group, start_time=started_ms, run_name=_text(name), tags=fit(tags))
        return run.info.run_id

    def note(
        self,
        run_id: str,
        *,
        params: Mapping[str, str] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        at_ms: int = 0,
    ) -> None:
        """Note values of a run; the value of a metric and of a tag replaces the one before, a parameter stays."""
        from mlflow.entities import Metric, Param, RunTag

        entries: list[tuple[str, Any]] = [
            *(("params", Param(key, value)) for key, value in fit(params or {}, LONGEST_PARAM).items()),
            *(("metrics", Metric(_key(name), value, at_ms, 0)) for name, value in (metrics or {}).items()),
            *(("tags", RunTag(key, value)) for key, value in fit(tags or {}).items()),
        ]
        rest = iter(entries)
        while some := list(islice(rest, AT_ONCE)):
            by_kind = {kind: [entry for what, entry in some if what == kind] for kind in ("params", "metrics", "tags")}
            with self._told():
                self._client.log_batch(run_id, by_kind["metrics"], by_kind["params"], by_kind["tags"])

    def finish(self, run_id: str, ended_ms: int) -> None:
        """Note that a run has ended, and when."""
        with self._told():
            self._client.set_terminated(run_id, "FINISHED", ended_ms)

    def delete_run(self, run_id: str) -> None:
        """Remove the files of a run, then the run: MLflow keeps its numbers, hidden, until `mlflow gc`."""
        self.remove_files(run_id)
        with self._told():
            self._client.delete_run(run_id)

    def upload(self, run_id: str, files: Mapping[str, Path]) -> None:
        """Put files among the artifacts of a run, by the path that they get there."""
        with self._told():
            for path, file in files.items():
                self._client.log_artifact(run_id, str(file), path.rpartition("/")[0] or None)

    def paths(self, run_id: str, below: str | None = None) -> list[str]:
        """Return the paths of all files among the artifacts of a run."""
        with self._told():
            listed = self._client.list_artifacts(run_id, below)
        return [path for each in listed for path in (self.paths(run_id, each.path) if each.is_dir else [each.path])]

    def read(self, run_id: str, path: str) -> bytes:
        """Return a file of a run."""
        with tempfile.TemporaryDirectory() as scratch, self._told():
            return Path(self._client.download_artifacts(run_id, path, scratch)).read_bytes()

    def remove_files(self, run_id: str, below: str | None = None) -> None:
        """Remove the artifacts of a run, or those below a folder of it; the same again changes nothing."""
        if not self.paths(run_id, below):
            return
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        with self._told():
            uri = self._client.get_run(run_id).info.artifact_uri
            get_artifact_repository(str(uri), tracking_uri=self.uri).delete_artifacts(below)

    def versions(self) -> "list[ModelVersion]":
        """Return the versions of the registered model; none where it is not registered."""
        with self._told():
            return list(self._client.search_model_versions(f"name='{MODEL}'"))

    def new_version(self, run_id: str, path: str, tags: Mapping[str, str], description: str) -> str:
        """Register what lies at ``path`` among the artifacts of a run; return the version."""
        with self._told():
            if not self._client.search_registered_models(f"name='{MODEL}'"):
                self._client.create_registered_model(MODEL)
            version = self._client.create_model_version(
                MODEL,
                f"runs:/{run_id}/{path}",
                run_id,
                tags=fit(tags),
                description=_text(description, LONGEST_DESCRIPTION),
            )
        return str(version.version)

    def note_version(self, version: str, tags: Mapping[str, str], description: str) -> None:
        """Note what is told of a version."""
        with self._told():
            for key, value in fit(tags).items():
                self._client.set_model_version_tag(MODEL, version, key, value)
            self._client.update_model_version(MODEL, version, _text(description, LONGEST_DESCRIPTION))

    def delete_version(self, version: str) -> None:
        """Remove a version, and the aliases that lead to it."""
        with self._told():
            self._client.delete_model_version(MODEL, version)

    def aliases(self) -> dict[str, str]:
        """Return which version each alias leads to."""
        with self._told():
            known = self._client.search_registered_models(f"name='{MODEL}'")
            # The search gives the model without its aliases.
            said = self._client.get_registered_model(MODEL).aliases if known else {}
        return {name: str(version) for name, version in said.items()}

    def lead(self, alias: str, version: str | None) -> None:
        """Let an alias lead to a version, or to none."""
        with self._told():
            if version is None:
                self._client.delete_registered_model_alias(MODEL, alias)
            else:
                self._client.set_registered_model_alias(MODEL, alias, version)

    @contextmanager
    def _told(self) -> Iterator[None]:
        with told(self.uri):
            yield


def without(tags: Mapping[str, str], names: Collection[str]) -> dict[str, str]:
    """Return ``tags`` less those of ``names``."""
    return {name: value for name, value in tags.items() if name not in names}


def fit(values: Mapping[str, str], longest: int = LONGEST_TAG) -> dict[str, str]:
    """Return texts by names as MLflow takes them, and nobody obeys them."""
    return {_key(name): _text(value, longest) for name, value in values.items()}


def _key(name: str) -> str:
    return UNFIT_FOR_KEYS.sub("_", name)[:LONGEST_KEY] or "_"


def _text(value: str, longest: int = LONGEST_TAG) -> str:
    """Return text in which what is not to be seen is written out."""
    text = shown(value, lines=True)
    return text if len(text) <= longest else f"{text[: longest - 2]} …"
