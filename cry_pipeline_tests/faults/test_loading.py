"""Whatever happens to a file that the pipeline made: made again, or refused with a way out; never used, no traceback.

Every kind of artefact of a finished installation suffers a damage, each another one. Each command that reads it is
called: it answers, or says in a sentence which file it is and what to do. Then `cry-pipeline run`: all ends with the
digests and the bytes of before, at once or after what the sentence says was done.
"""

import re
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from cry_pipeline.corpus.archive import Archive
from cry_pipeline.settings import Settings
from cry_pipeline_tests.faults.conftest import FULL
from cry_pipeline_tests.faults.damages import DAMAGES
from cry_pipeline_tests.orchestration.installations import ODD, Installation

HANG_S = 300
WAY_OUT = re.compile(r"cry-pipeline |[Mm]aterialize|remove|move |delete|install|update |[Rr]un again|train|made again")


class Artefact(NamedTuple):
    """A kind of file: where those of it lie below the data folder, which commands read it, what a run does about it."""

    pattern: str
    commands: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset({"folder"})
    """The damages that a run refuses: whatever cannot be made again, or would be lost by that."""


PLOT, PREDICT = "features show mel64_8k --plot {out}", "predict {sound}"
NOTHING: frozenset[str] = frozenset()
MADE: dict[str, dict[str, Artefact]] = {
    "manifest": {
        "cache of hashes": Artefact("cache/hashes.parquet"),
        "cache of probes": Artefact("cache/probes.parquet"),
        "note of the corpus": Artefact("manifests/corpus.json"),
        "inventory": Artefact("manifests/inventory.parquet"),
        "manifest": Artefact("manifests/recordings.parquet", (PLOT,)),
        "quarantine": Artefact("manifests/quarantine.parquet"),
        "folds": Artefact("folds/*.parquet"),
    },
    "features": {
        "description of a feature set": Artefact("features/*/feature_set.json", ("store info mel64_8k",)),
        "values of a part": Artefact("features/*/parts/*/mel/c.0.0", (PLOT, "store ls"), NOTHING),
        "part.json": Artefact("features/*/parts/*/part.json", ("store ls", "features list", "store gc"), NOTHING),
        "metadata of an array": Artefact("features/*/parts/*/mel/zarr.json", (PLOT,), NOTHING),
    },
    "other files of parts": {
        "statistics": Artefact("features/*/parts/*/statistics/c.0.0", refused=NOTHING),
        "metadata of a part": Artefact("features/*/parts/*/zarr.json", refused=NOTHING),
        "offsets": Artefact("features/*/parts/*/offsets/c.0", refused=NOTHING),
    },
    "runs": {
        "note of the current run": Artefact("runs/*/current.json", ("store info mel64_8k", "maintain")),
        "checkpoint": Artefact("runs/*/*/fold-*/checkpoint.safetensors", refused=NOTHING),
        "history of a fold": Artefact("runs/*/*/fold-*/history.csv", refused=NOTHING),
        "predictions of a fold": Artefact("runs/*/*/fold-*/predictions.parquet", refused=NOTHING),
        "provenance of a fold": Artefact(
            "runs/*/*/fold-*/provenance.json", ("store info mel64_8k", "store gc", "maintain"), NOTHING
        ),
    },
    "evidence": {
        "evidence": Artefact("evidence/*/*/evidence.json", ("maintain",)),
        "leaderboard's table": Artefact("reports/leaderboard.parquet", ("leaderboard",)),
        "leaderboard": Artefact("reports/leaderboard.html"),
        "page of an experiment": Artefact("reports/experiments/*.html"),
        "first page": Artefact("reports/index.html"),
        "table of the ladder": Artefact("reports/leakage_ladder.parquet"),
    },
    "bundle": {
        f"bundle's {name}": Artefact(
            f"models/champions/*/{name}", ("champion show", "champion history", PREDICT), NOTHING
        )
        for name in (
            *("manifest.json", "MODEL_CARD.md", "cry/model.onnx", "cry/weights.safetensors", "cry/labels.json"),
            *("cry/calibration.json", "cry/evidence.json", "cry/feature_spec.json", "cry/provenance.json"),
        )
    },
}
"""What a run makes again, in groups of what is damaged at once."""
SAME = ("evidence/*/*/evidence.json", "runs/*/*/fold-*/checkpoint.safetensors", "runs/*/*/fold-*/predictions.parquet")
"""Files that are made again to the same bytes."""


class Ended(NamedTuple):
    """How a command ended: its exit code, and what it wrote."""

    code: int
    said: str


class Bench:
    """A copy of the installation that is damaged, and the commands on it."""

    def __init__(self, installation: Installation, call: Callable[[Settings, str], Ended]) -> None:
        self.installation, self._call = installation, call
        self.data = installation.settings.data
        self.tried = 0

    def paths(self, artefact: Artefact, turn: int = 0) -> tuple[Path, Path | None]:
        """Return a file of a kind, and another whole one like it, if there is one."""
        there = [path for path in sorted(self.data.glob(artefact.pattern)) if path.is_file()]
        beside = [path for path in sorted(there[0].parent.iterdir()) if path.is_file() and path != there[0]]
        path = there[turn % len(there)]
        others = [other for other in (*there, *beside) if other != path and other.suffix == path.suffix]
        return path, next(iter(others), None)

    def damage(self, artefact: Artefact, kind: str, turn: int = 0) -> Path | None:
        """Damage a file; return which, or None where such a thing cannot happen to it."""
        path, neighbour = self.paths(artefact, turn)
        done = DAMAGES[kind](path, neighbour)
        self.tried += done
        return path if done else None

    def call(self, command: str, *damaged: Path) -> Ended:
        """Call a command; it speaks in sentences, and names one of the ``damaged`` files and a way out if it fails."""
        ended = self._call(self.installation.settings, command)
        where = f"{command}, {[path.relative_to(self.data).as_posix() for path in damaged]}: {ended.said}"
        assert ended.code in (0, 1), where
        assert "Traceback" not in ended.said, where
        assert "fault of the program" not in ended.said, where
        if ended.code:
            said = ended.said[ended.said.rindex("error: ") :]
            names = {path.name for path in damaged} | {path.parent.name for path in damaged}
            names |= {path.parents[1].name for path in damaged}
            assert any(name in said for name in names), where
            assert WAY_OUT.search(said), where
        return ended

    def versions(self) -> dict[str, str | None]:
        """Return the data version of each asset, as Dagster has it on record."""
        with self.installation.instance() as instance:
            events = {key: instance.get_latest_materialization_event(key) for key in instance.all_asset_keys()}
        made = {key.to_user_string(): event.asset_materialization for key, event in events.items() if event}
        return {key: (about.tags or {}).get("dagster/data_version") for key, about in made.items() if about}

    def contents(self) -> dict[str, bytes]:
        """Return the bytes of the files that are made again to the same ones."""
        paths = [path for pattern in SAME for path in self.data.glob(pattern) if path.is_file()]
        return {path.relative_to(self.data).as_posix(): path.read_bytes() for path in paths}


@contextmanager
def _alarm(what: str) -> Iterator[None]:
    def ring(*_: object) -> None:
        raise TimeoutError(f"{what}: still there after {HANG_S} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(HANG_S)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def donated(settings: Settings, name: str) -> Path:
    """Return a donation as it was dropped into the inbox, under its own name."""
    archive = Archive.open(settings.archive, settings.cache)
    (recording_id,) = archive.read().query("name == @name")["recording_id"]
    file = settings.data.parent / name
    file.write_bytes(archive.locate(recording_id).read_bytes())
    return file


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[Settings, str], Ended]:
    """``call(settings, command)``: what `cry-pipeline` does with these words, in this process."""
    from cry_pipeline.command.main import main
    from cry_pipeline.inference.predict import _opened

    def call(settings: Settings, command: str) -> Ended:
        _opened.cache_clear()
        values = {"sound": donated(settings, ODD), "out": settings.data.parent / "out.png"}
        for name in ("data", "corpus", "catalog", "workers", "accelerator"):
            monkeypatch.setenv(f"CRY_PIPELINE_{name.upper()}", str(getattr(settings, name)))
        words = [word.format(**values) for word in command.split(" ")]
        monkeypatch.setattr(sys, "argv", ["cry-pipeline", *words])
        capsys.readouterr()
        code: int | str | None = 0
        with _alarm(command):
            try:
                main()
            except SystemExit as end:
                code = end.code
        out, err = capsys.readouterr()
        return Ended(code if isinstance(code, int) else int(code is not None), out + err)

    return call


@pytest.fixture
def bench(installation: Installation, call: Callable[[Settings, str], Ended]) -> Bench:
    """The installation, to be damaged."""
    return Bench(installation, call)


def run_until_mended(bench: Bench, damaged: dict[Path, bool]) -> None:
    """Run; what was to be refused (by path) is refused, and removed as the sentence says; then a run ends well."""
    if any(damaged.values()):
        assert bench.call("run", *(path for path, refused in damaged.items() if refused)).code == 1
        for path, refused in damaged.items():
            if refused:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    # A report that waits for nothing may be asked for before the manifest that it reads is made again.
    ended = next((run for run in (bench.call("run", *damaged) for _ in range(2)) if run.code == 0), None)
    assert ended is not None, "the second run failed, too"


def assert_as_before(bench: Bench, versions: dict[str, str | None], contents: dict[str, bytes]) -> None:
    assert bench.versions() == versions
    assert bench.contents() == contents


@pytest.mark.skipif(not FULL, reason="about a minute; with CRY_PIPELINE_FAULTS=full")
def test_damage_to_one_artefact_of_each_kind_is_made_good_by_a_run(bench: Bench, counted) -> None:
    """Another damage for each; not to the bundle, which takes long to export, and no folder, which a run refuses."""
    versions, contents, damaged = bench.versions(), bench.contents(), {}
    kinds = [kind for kind in DAMAGES if kind != "folder"]
    artefacts = [artefact for group, made in MADE.items() if group != "bundle" for artefact in made.values()]
    for turn, artefact in enumerate(artefacts):
        path = bench.damage(artefact, kinds[turn % len(kinds)], turn)
        if path is not None:
            damaged[path] = False
    for command in sorted({command for artefact in artefacts for command in artefact.commands}):
        bench.call(command, *damaged)
    run_until_mended(bench, damaged)
    assert_as_before(bench, versions, contents)
    counted(artefacts=len(damaged), of_kinds=len(artefacts))
