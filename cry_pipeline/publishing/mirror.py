"""The mirror in MLflow: runs, evidence, pages and bundles of ours, told to a tracking server, and taken back there.

Belongs here: what is told in which order, one at a time, and forgetting. Does not: what is told of a run or a bundle
(mirrored_runs.py, mirrored_models.py). One way: nothing is read back but what was told before.

Which servers were ever told is noted beside the models, so that a withdrawal knows where copies are.
"""

import fcntl
import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from cry_pipeline.artefacts import DamagedFileError, MissingFileError, make_folder, open_plain, read_json, write_json
from cry_pipeline.catalog import Catalog
from cry_pipeline.evaluation.kept_runs import KeptRun, current_runs, kept_runs
from cry_pipeline.evaluation.records import Evidence
from cry_pipeline.publishing.mirrored_models import Mirrored, models_of, tell_models
from cry_pipeline.publishing.mirrored_runs import CURRENT, PAGE, WHOLE, Telling, by_digest, is_told, tell, telling_of
from cry_pipeline.publishing.mlflow_server import Server
from cry_pipeline.reports.experiment_page import current_pages
from cry_pipeline.settings import Settings
from cry_pipeline.tracking import MIRRORED, TRAINING, VARIABLE, TrackingError, place_of, tracking_uri

LOG = logging.getLogger("cry_pipeline")
SERVERS, LOCK = "mirrors.json", ".mirror.lock"


def mirror(settings: Settings, catalog: Catalog, evidence: Sequence[Evidence], *, change: bool = True) -> Mirrored:
    """Tell MLflow, at ``MLFLOW_TRACKING_URI``, of all runs with evidence and of all bundles what it has not been told.

    What is there already is left as it is, however often this is called; who is killed in between is gone on with.

    Args:
        settings: of the installation.
        catalog: as it is now.
        evidence: of now, each with its standing among all that were tried.
        change: whether anything is done; else it is only said.

    Raises:
        TrackingError: the variable is not set, or MLflow cannot be told. All else is as it was.
        ChampionError, DamagedFileError: what is to be told cannot be read.
    """
    uri = tracking_uri()
    if uri is None:
        raise TrackingError(f"there is nobody to tell: set {VARIABLE} to the address of a tracking server of MLflow")
    with _alone(settings):
        server = Server(uri)
        if change:
            _note_server(settings, server.place)
        done = Mirrored(server.place)
        run_ids = _tell_runs(_tellings(settings, catalog, evidence), server, done, change=change)
        tell_models(models_of(settings), run_ids, server, done, change=change)
    for fault in done.faults:
        LOG.warning("%s", fault)
    return done


def _tellings(settings: Settings, catalog: Catalog, evidence: Sequence[Evidence]) -> list[Telling]:
    """Return what is told of each run that there is with evidence, those of now with their standing."""
    now = {result.provenance.run_digest: result for result in evidence}
    pages = current_pages(catalog, evidence, settings.reports)
    last = {run.digest for run in current_runs(catalog.experiments, settings.evidence, settings.runs)}
    tellings = []
    for name in catalog.experiments:
        for kept in kept_runs(name, settings.evidence, settings.runs):
            shown = KeptRun(now.get(kept.digest, kept.evidence), kept.folder, kept.made_from, kept.started_at)
            page = pages.get(name) if kept.digest in now else None
            tellings.append(telling_of(shown, settings, page, current=kept.digest in last))
    return tellings


def _tell_runs(tellings: Sequence[Telling], server: Server, done: Mirrored, *, change: bool) -> dict[str, str]:
    """Tell of runs; return MLflow's ids of them, by the digests of ours."""
    there, spare, trainings = by_digest(server)
    run_ids = {digest: run.info.run_id for digest, run in there.items()}
    for run in spare:
        done.told.append(f"{run.info.run_name}: told twice, once removed")
        if change:
            server.delete_run(run.info.run_id)
    for telling in tellings:
        own = trainings.get(telling.run, [])
        if is_told(there.get(telling.run), telling, own):
            done.before += 1
            continue
        done.told.append(f"{telling.name} {telling.run[:16]}: {'told again' if telling.run in there else 'a new run'}")
        if change:
            run_ids[telling.run] = tell(telling, there.get(telling.run), own, server)
        else:
            run_ids.setdefault(telling.run, "")
    known = {telling.run for telling in tellings}
    for digest, run in there.items():
        if digest not in known and run.data.tags.get(CURRENT) == "true":
            done.told.append(f"{run.info.run_name} {digest[:16]}: no run of now any more")
            if change:
                server.note(run.info.run_id, tags={CURRENT: "false"})
    return run_ids


def forget(settings: Settings, runs: Collection[str], *, change: bool) -> Iterator[tuple[str, str]]:
    """Yield what MLflow has that has to go where something is withdrawn, as place and what becomes of it.

    That is: runs of the digests ``runs``, or of their beginnings; those that are not here any more, so that nothing
    tells whom they saw; the curves of both, and the versions that rest on them; and all pages, which the next mirror
    tells again. With ``change`` they are gone by then.

    Raises:
        TrackingError: MLflow cannot be asked.
    """
    uri = tracking_uri()
    if uri is None or place_of(uri) not in servers(settings):
        return
    with _alone(settings):
        server = Server(uri)
        gone = set()
        for kind in (MIRRORED, TRAINING):
            for run in server.runs(kind):
                digest = run.data.tags.get("cry_pipeline.run", "")
                if _is_gone(digest, runs, settings):
                    gone.add(run.info.run_id)
                    if change:
                        server.delete_run(run.info.run_id)
                    yield f"MLflow at {server.place}: run {digest[:16]}", f"{kind} removed"
                elif server.paths(run.info.run_id, PAGE):
                    if change:
                        server.note(run.info.run_id, tags={WHOLE: ""})
                        server.remove_files(run.info.run_id, PAGE)
                    yield f"MLflow at {server.place}: run {digest[:16]}", "page removed"
        for version in server.versions():
            if version.run_id in gone or _is_gone(version.tags.get("cry.run", ""), runs, settings):
                if change:
                    server.delete_version(str(version.version))
                yield f"MLflow at {server.place}: version {version.version}", "bundle removed"


def contents(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Yield every text and every file that MLflow has of this package's, with its place.

    Raises:
        TrackingError: MLflow cannot be asked.
    """
    uri = tracking_uri()
    if uri is None or place_of(uri) not in servers(settings):
        return
    server = Server(uri)
    for run in [*server.runs(MIRRORED), *server.runs(TRAINING)]:
        place = f"MLflow at {server.place}: run {run.info.run_id}"
        yield place, repr([run.info.run_name, run.data.params, run.data.tags]).encode("utf-8", "backslashreplace")
        for path in server.paths(run.info.run_id):
            yield f"{place}: {path}", server.read(run.info.run_id, path)
    for version in server.versions():
        place = f"MLflow at {server.place}: version {version.version}"
        yield place, repr([version.description, version.tags]).encode("utf-8", "backslashreplace")


def out_of_reach(settings: Settings) -> Iterator[str]:
    """Yield, in sentences, what of the mirror withdrawing does not reach; raises DamagedFileError."""
    reached = place_of(tracking_uri() or "")
    for place in servers(settings):
        if place == reached:
            yield f"what MLflow at {place} hides of deleted runs, numbers without names: `mlflow gc` there removes it"
        else:
            yield f"runs, pages and bundles in MLflow at {place}: set {VARIABLE} to it, and withdraw again"


def servers(settings: Settings) -> list[str]:
    """Return where MLflow was ever told of anything here.

    Raises:
        DamagedFileError: what notes that is not what was written.
    """
    path = settings.models / SERVERS
    try:
        return list(read_json(path, "remove it, and see yourself that nothing is left in MLflow")["servers"])
    except MissingFileError:
        return []


def _note_server(settings: Settings, place: str) -> None:
    try:
        known = servers(settings)
    except DamagedFileError as error:
        LOG.warning("%s", error)
        known = []
    if place not in known:
        write_json(settings.models / SERVERS, {"servers": sorted({*known, place})})


def _is_gone(digest: str, runs: Collection[str], settings: Settings) -> bool:
    if any(digest.startswith(run[:16]) for run in runs):
        return True
    return not any(settings.runs.glob(f"*/{digest[:16]}/fold-*")) if digest else True


@contextmanager
def _alone(settings: Settings) -> Iterator[None]:
    """Hold the lock under which MLflow is told; it ends with the process, however it ends."""
    make_folder(settings.models)
    with os.fdopen(open_plain(settings.models / LOCK, os.O_RDWR | os.O_CREAT), "r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
