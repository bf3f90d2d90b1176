"""``python -m cry_pipeline_tests.fuzz.guided PARSER SEEDS``: inputs made to reach new lines of our own parsers.

Belongs here: the parsers whose lines are counted, and running atheris over each in a process of its own. Does not:
inputs made by chance (campaign.py). Where atheris has no wheel, that is said.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from cry_pipeline_tests.fuzz import seeds

Parser = Callable[[bytes], None]


def _containers() -> Parser:
    from cry_pipeline.corpus.audio import DecodeError
    from cry_pipeline.corpus.containers import inspect

    def parse(data: bytes) -> None:
        try:
            contents = inspect(data)
        except DecodeError:
            return
        assert len(contents.data) <= len(data)

    return parse


def _pcm() -> Parser:
    from cry_pipeline.corpus.pcm import read_pcm

    def parse(data: bytes) -> None:
        pcm = read_pcm(data)
        assert pcm is None or pcm.samples.nbytes <= len(data)

    return parse


def _amr() -> Parser:
    from cry_pipeline.corpus.amr import AMR, amr_frames

    def parse(data: bytes) -> None:
        for codec in AMR.values():
            end = 0
            for start, stop, _ in amr_frames(data, codec):
                assert start == end < stop
                end = stop
            assert end >= len(data)

    return parse


def _filenames() -> Parser:
    from cry_pipeline.corpus.filenames import FilenameError, describe

    def parse(data: bytes) -> None:
        name, _, sidecar = data.partition(b"\0")
        try:
            describe(os.fsdecode(name), sidecar or None)
        except FilenameError:
            return

    return parse


def _yaml() -> Parser:
    from cry_pipeline.catalog.yaml_files import YamlError, read_yaml

    path = Path(tempfile.mkdtemp()) / "some.yaml"

    def parse(data: bytes) -> None:
        path.write_bytes(data)
        try:
            read_yaml(path)
        except YamlError:
            return

    return parse


def _named_sidecars() -> seeds.Seeds:
    return {label: seeds.NAMES[0].encode() + b"\0" + data for label, data in seeds.sidecars().items()}


PARSERS: dict[str, tuple[Callable[[], Parser], Callable[[], seeds.Seeds]]] = {
    "containers": (_containers, seeds.containers),
    "pcm": (_pcm, seeds.containers),
    "amr": (_amr, seeds.containers),
    "filenames": (_filenames, _named_sidecars),
    "yaml": (_yaml, seeds.catalog),
}


def available() -> bool:
    """Return whether atheris is installed."""
    return importlib.util.find_spec("atheris") is not None


def run(findings: Path, seconds: int) -> list[str]:
    """Give each parser ``seconds``, and return what broke a rule and how to do it again; says what was done."""
    if not available():
        sys.stdout.write("guided by coverage: left out, atheris is not installed (wheels: Linux on x86_64)\n")
        return []
    findings.mkdir(parents=True, exist_ok=True)
    found = []
    for name, (_, make_seeds) in PARSERS.items():
        with tempfile.TemporaryDirectory() as corpus:
            for label, data in make_seeds().items():
                Path(corpus, label.replace("/", "+")).write_bytes(data)
            arguments = [f"-max_total_time={seconds}", "-timeout=20", "-rss_limit_mb=1500", "-max_len=100000"]
            command = [sys.executable, "-m", "cry_pipeline_tests.fuzz.guided", name, corpus]
            kept = f"-artifact_prefix={findings.absolute()}/guided-{name}-"
            done = subprocess.run([*command, *arguments, kept], capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if line.startswith("Done ") or "cov:" in line]
        sys.stdout.write(f"guided by coverage, {name}: {' | '.join(said[-2:])}\n")
        sys.stdout.flush()
        if done.returncode:
            found.append(
                f"{name}, guided by coverage, again with: {' '.join(command[:-1])} FILE\n{done.stderr[-3000:]}"
            )
    return found


def main() -> None:
    """Run atheris over one parser; its own arguments follow."""
    import atheris  # pyright: ignore[reportMissingImports, reportMissingModuleSource]

    name = sys.argv.pop(1)
    with atheris.instrument_imports(include=["cry_pipeline.corpus", "cry_pipeline.catalog"]):  # pyright: ignore
        parse = PARSERS[name][0]()
    atheris.Setup(sys.argv, parse)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
