"""Bundles of ours → versions of one registered model: `champion` is the one in use, `challenger` the one refused last.

Belongs here: which bundles are told of, and aliases. Does not: MLflow's verbs (mlflow_server.py), and the runs behind
bundles (mirrored_runs.py), among whose artifacts the files of a bundle lie.

A version is known by the digest of the bundle, in a tag. A challenger that was refused before a bundle was made of it
is a version without files, which says so.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cry_pipeline.inference.bundle import BundleError, verify
from cry_pipeline.inference.champions import champion_folder, history
from cry_pipeline.inference.refusals import standing
from cry_pipeline.publishing.mlflow_server import Server, fit
from cry_pipeline.settings import Settings
from cry_pipeline.targets import Target

BUNDLE, HOLDS, WHY = "cry_pipeline.bundle", "holds", "why"
CHAMPION, CHALLENGER = "champion", "challenger"
BUNDLES = "bundles"
"""Folder of bundles among the artifacts of a run."""
NOTHING, WHOLE = "nothing: it was refused before a bundle was made", "bundle"


@dataclass
class Mirrored:
    """What was told, or would be, in words; what was told before; and what cannot be told, in sentences."""

    place: str
    told: list[str] = field(default_factory=list)
    before: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """All of it in a line, as other stages say it."""
        return f"MLflow at {self.place}: computed={len(self.told)} reused={self.before}"


@dataclass(frozen=True)
class Known:
    """What is told of one bundle; ``folder`` holds its files, None where there are none; ``run`` is that of ``cry``."""

    digest: str
    folder: Path | None
    run: str
    tags: dict[str, str]
    description: str

    @property
    def path(self) -> str:
        """Where its files lie among the artifacts of its run."""
        return f"{BUNDLES}/{self.digest[:16]}"


@dataclass(frozen=True)
class Models:
    """The bundles that are told of, oldest first, which of them each alias leads to, and why others are not told of."""

    bundles: list[Known]
    aliases: dict[str, str]
    faults: list[str]


def models_of(settings: Settings) -> Models:
    """Return what is told of models: each champion whose bundle is there, and the challenger whose refusal stands.

    Raises:
        ChampionError: the history or the refusals cannot be read.
    """
    events, refused = history(settings.models), standing(settings.models)
    found: dict[str, Known] = {}
    faults = []
    for event in events:
        folder = champion_folder(settings.models, event.digest)
        if event.digest in found or not folder.exists():
            continue  # champions of long ago are cleaned up
        try:
            verify(folder)
        except BundleError as error:
            faults.append(f"not told of: {error}")
            continue
        found[event.digest] = _known(event.digest, folder, event.runs, [f"{event.event} {event.at}", *event.why])
    aliases = {CHAMPION: events[-1].digest} if events else {}
    if refused is not None:
        why = [f"refused {refused.at}", *refused.why]
        found.setdefault(refused.candidate, _known(refused.candidate, None, refused.runs, why))
        aliases[CHALLENGER] = refused.candidate
    return Models([*found.values()], {name: told for name, told in aliases.items() if told in found}, faults)


def tell_models(models: Models, run_ids: Mapping[str, str], server: Server, done: Mirrored, *, change: bool) -> None:
    """Tell of models what is not told yet, and note in ``done`` what that is, and what cannot be told.

    Args:
        models: what there is.
        run_ids: MLflow's ids of its runs, by the digests of ours.
        server: where.
        done: what is done.
        change: whether anything is done; else it is only said.
    """
    versions = {version.tags.get(BUNDLE): version for version in server.versions()}
    numbers = {str(digest): str(version.version) for digest, version in versions.items()}
    done.faults += models.faults
    for known in models.bundles:
        there = versions.get(known.digest)
        if there is not None and fit(known.tags).items() <= there.tags.items():
            done.before += 1
        elif known.run not in run_ids:
            done.faults.append(f"bundle {known.digest[:16]} is not told of: its run, or evidence of it, is not here")
        else:
            done.told.append(f"bundle {known.digest[:16]}: {'told again' if there else 'a new version'}")
            if change:
                numbers[known.digest] = _tell(known, run_ids[known.run], numbers.get(known.digest), server)
            else:
                numbers.setdefault(known.digest, "to come")
    leads = server.aliases()
    for name in (CHAMPION, CHALLENGER):
        wanted = numbers.get(models.aliases.get(name, ""))
        if wanted != leads.get(name):
            done.told.append(f"{name}: {f'version {wanted}' if wanted else 'none'}")
            if change:
                server.lead(name, wanted)


def _tell(known: Known, run_id: str, version: str | None, server: Server) -> str:
    """Put a bundle's files where its version says that they lie; what it holds is said last."""
    if known.folder is not None:
        files = sorted(path for path in known.folder.rglob("*") if path.is_file())
        server.upload(run_id, {f"{known.path}/{path.relative_to(known.folder).as_posix()}": path for path in files})
    if version is None:
        return server.new_version(run_id, known.path, known.tags, known.description)
    server.note_version(version, known.tags, known.description)
    return version


def _known(digest: str, folder: Path | None, runs: Mapping[Target, Mapping[str, str]], why: list[str]) -> Known:
    made_of = {f"{target}.{what}": value for target, run in runs.items() for what, value in run.items()}
    tags = {BUNDLE: digest, HOLDS: WHOLE if folder else NOTHING, WHY: "\n".join(why), **made_of}
    description = "\n".join(f"- {point}" for point in why)
    if folder is None:
        description = f"A challenger that was refused; it holds {NOTHING}.\n\n{description}"
    return Known(digest, folder, runs["cry"]["run"], tags, description)
