"""Where MLflow is, if anywhere, and how it is asked: quietly, with little patience, and without its telemetry.

Belongs here: what training and publishing/ both need to reach a tracking server. Does not: what is told there.

``MLFLOW_TRACKING_URI`` is MLflow's own variable, as are those that tell how to log in there.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from mlflow import MlflowClient

VARIABLE = "MLFLOW_TRACKING_URI"
PREFIX = "cry_pipeline"
RUN, KIND = f"{PREFIX}.run", f"{PREFIX}.kind"
"""Tags of MLflow's runs: the digest of the run that they are of, and what they tell of it."""
MIRRORED, TRAINING = "mirrored run", "training of a fold"
"""Kinds: all that is known of a run, and the curves of one training of a network in it."""
QUIETLY = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""What is set of MLflow's variables, unless somebody has: by itself it would try for some minutes."""
LONGEST = 500
"""Characters of what MLflow says of a fault that are shown."""


class TrackingError(RuntimeError):
    """MLflow cannot be asked, or refuses; the message says where, why and what to do."""


def tracking_uri() -> str | None:
    """Return where MLflow is, as the environment says; None where it says nothing."""
    return os.environ.get(VARIABLE, "").strip() or None


def place_of(uri: str) -> str:
    """Return ``uri`` as it may be shown: without who logs in there, and how."""
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", "")) if parts.netloc else uri.partition("?")[0]


def experiment_of(cohort: str) -> str:
    """Return the name of MLflow's experiment that holds the runs on a cohort, which may be compared."""
    return f"{PREFIX}/{cohort}"


def client_of(uri: str) -> "MlflowClient":
    """Return a client of the server, or the database, at ``uri``; nothing is asked yet.

    Raises:
        TrackingError: MLflow's client is not installed.
    """
    for name, value in QUIETLY.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise TrackingError(
            f"{VARIABLE} is set, and MLflow's client is not installed ({error}): pip install 'cry-pipeline[mlflow]', "
            "or unset it"
        ) from None
    with told(uri):
        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def group_of(client: "MlflowClient", uri: str, cohort: str) -> str:
    """Return MLflow's id of the experiment of a cohort, which is made where there is none; raises TrackingError."""
    from mlflow.exceptions import MlflowException

    name = experiment_of(cohort)
    with told(uri):
        known = client.get_experiment_by_name(name)
        if known is None:
            try:
                return client.create_experiment(name)
            except MlflowException:  # another process may have made it just now
                known = client.get_experiment_by_name(name)
                if known is None:
                    raise
        if known.lifecycle_stage != "active":
            raise TrackingError(
                f"the experiment {name} was deleted in MLflow at {place_of(uri)}: restore it there, or remove it for "
                "good with `mlflow gc`"
            )
        return str(known.experiment_id)


@contextmanager
def told(uri: str) -> Iterator[None]:
    """Turn what MLflow raises into a sentence."""
    import requests
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, requests.RequestException, OSError) as error:
        why = " ".join(str(error).replace(uri, place_of(uri)).split())
        raise TrackingError(
            f"MLflow at {place_of(uri)} cannot be told ({type(error).__name__}: {why[:LONGEST]}): see that it runs, or "
            f"unset {VARIABLE}; nothing else is missing, and `cry-pipeline mlflow` tells it later"
        ) from error
