"""What the README and the pages of docs/ show to be typed is typed here, and works.

Every fenced block is run, or a comment directly before it, `<!-- not run: why -->`, says why it is not. Run are

- `python`: the blocks of a page one after another, with the names of those before;
- `sh`: lines that call `cry-pipeline`, in this process;
- `yaml` after `<!-- into models.yaml -->`, or another file of the catalog: its entries are added to that file;
- `json` after `<!-- a sidecar -->`: it tells what a donation's name does not.

The blocks of one page share a folder, whose data folder holds what a run on a small synthetic corpus made.
"""

import logging
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from cry_pipeline.catalog import load_catalog
from cry_pipeline.command.main import app, main
from cry_pipeline.corpus.filenames import describe
from cry_pipeline.corpus.refusals import REFUSALS
from cry_pipeline.features import kinds
from cry_pipeline.features.store import failures, parts
from cry_pipeline.inference import bundle
from cry_pipeline.settings import OF_TESTS, Settings
from cry_pipeline_tests.orchestration.installations import Installation

ROOT = Path(__file__).parents[1]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "data/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / ".github").glob("*.md")),
    *sorted((ROOT / "cry_pipeline_tests").glob("*/README.md")),
]
FENCE = re.compile(r"^(```+)(\w*)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"<!-- (.+) -->\s*\Z")
NOT_RUN = "not run: "
FORMATS = ("part of the feature store", "list of failed recordings", "bundle")
INTO = re.compile(r"into (\w+\.yaml)")
SIDECAR = "a sidecar"


class Block(NamedTuple):
    """A fenced block: where it begins, its language, the comment directly before it, and what it holds."""

    where: str
    line: int
    language: str
    mark: str
    text: str

    @property
    def is_run(self) -> bool:
        """Whether this module knows how to run it."""
        match self.language:
            case "python":
                return not self.mark
            case "sh":
                return not self.mark and all(_call(line) for line in self.text.splitlines())
            case "yaml":
                return bool(INTO.fullmatch(self.mark))
            case "json":
                return self.mark == SIDECAR
            case _:
                return False


def blocks(page: Path) -> Iterator[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    where = page.relative_to(ROOT).as_posix()
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        mark = MARK.search(text[: found.start()])
        yield Block(where, line, found[2], mark[1] if mark else "", found[3])


def _call(line: str) -> list[str]:
    """Return the words of a line that calls `cry-pipeline`; none where it calls something else."""
    words = shlex.split(line, comments=True)
    return words if words and words[0] in ("cry-pipeline", ".venv/bin/cry-pipeline") else []


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page)], ids=lambda b: f"{b[0]}:{b[1]}")
def test_every_block_is_run_or_says_why_not(block: Block) -> None:
    said = block.mark.startswith(NOT_RUN) and block.mark != NOT_RUN
    assert block.is_run or said, "mark it: <!-- not run: why --> on the line before"


@pytest.mark.parametrize(
    "page", [page for page in PAGES if any(block.is_run for block in blocks(page))], ids=lambda page: page.name
)
def test_blocks_of_a_page_run(
    page: Path, installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _set_up(installation, tmp_path, monkeypatch)
    names: dict[str, object] = {}
    for block in blocks(page):
        if not block.is_run:
            continue
        where = f"{block.where}:{block.line}"
        match block.language:
            case "python":
                exec(compile("\n" * block.line + block.text, page, "exec"), names)  # noqa: S102 - the page is ours
            case "sh":
                for line in block.text.splitlines():
                    monkeypatch.setattr("sys.argv", _call(line))
                    with pytest.raises(SystemExit) as ended:
                        main()
                    assert not ended.value.code, f"{where}: {line}"
            case "yaml":
                _add_to_catalog(tmp_path / "catalog", block)
            case "json":
                describe("baby.wav", block.text.encode())


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """What blocks do to the environment and the logger, and which kinds of feature they register, is taken back."""
    log = logging.getLogger("cry_pipeline")
    handlers, level, registered = log.handlers[:], log.level, set(kinds.KINDS)
    environment = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(environment)
    log.handlers[:], log.level = handlers, level
    for name in set(kinds.KINDS) - registered:
        kinds.unregister(name)


def _set_up(installation: Installation, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in ``folder``, on its data and catalog; put the recordings there that pages predict."""
    settings = installation.settings
    for name in ("data", "catalog", "corpus", "workers", "batch_recordings", "accelerator"):
        monkeypatch.setenv(f"CRY_PIPELINE_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.chdir(folder)
    assert settings.corpus_folder is not None
    first, second, *_ = sorted((settings.corpus_folder / "donateacry-android-upload-bucket").iterdir())
    (folder / "folder").mkdir()
    shutil.copy(first, folder / "some.3gp")
    shutil.copy(second, folder / "folder")


def _add_to_catalog(catalog: Path, block: Block) -> None:
    found = INTO.fullmatch(block.mark)
    assert found
    path = catalog / found[1]
    entries = yaml.safe_load(block.text)
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | entries))
    load_catalog(catalog)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target}: there is no such file"
        if anchor:
            assert anchor in _anchors(there), f"{target}: there is no such heading"


def _anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def test_readme_leads_to_every_page() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if f"](docs/{page.name})" not in text]


def test_datasheet_names_every_reason_of_a_refusal() -> None:
    text = (ROOT / "data" / "README.md").read_text(encoding="utf-8")
    assert not [reason for reason in REFUSALS if f"`{reason}`" not in text]


def test_page_on_architecture_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    package = ROOT / "cry_pipeline"
    rooms = [f"{path.parent.name}/" for path in package.rglob("__init__.py") if path.parent != package]
    floor = [path.name for path in package.glob("*.py") if path.name != "__init__.py"]
    assert not [name for name in (*rooms, *floor) if name not in text]


def test_page_on_use_names_every_command_and_setting() -> None:
    from typer.main import get_command

    named = _inline(ROOT / "docs" / "using.md")
    commands: dict[str, Any] = get_command(app).commands  # type: ignore[attr-defined]
    calls = [f"cry-pipeline {name}" for name, command in commands.items() if not hasattr(command, "commands")]
    calls += [
        f"cry-pipeline {name} {sub}" for name, command in commands.items() for sub in getattr(command, "commands", ())
    ]
    assert not [call for call in calls if not any(code.startswith(call) for code in named)]
    assert not [name for name in Settings.model_fields if f"CRY_PIPELINE_{name.upper()}" not in named]


def test_page_on_formats_states_the_versions_that_are_read() -> None:
    text = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    stated = dict(re.findall(r"^\| (.+?) \| (\d+) \|", text, re.MULTILINE))
    formats = (parts.FORMAT, failures.FORMAT, bundle.FORMAT)
    assert [stated[name] for name in FORMATS] == [str(number) for number in formats]


def _inline(page: Path) -> list[str]:
    """Return what stands between backticks, and the lines of blocks of commands that are not run."""
    text = page.read_text(encoding="utf-8")
    lines = [line for block in blocks(page) if block.language == "sh" for line in block.text.splitlines()]
    return [*re.findall(r"(?<!`)`([^`\n]+)`(?!`)", FENCE.sub("", text)), *lines]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_targets_settings_and_files_that_pages_name_exist(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    known = {f"CRY_PIPELINE_{name.upper()}" for name in Settings.model_fields} | set(OF_TESTS)
    for code in _inline(page):
        for setting in re.findall(r"\bCRY_PIPELINE_[A-Z_]+", code):
            assert setting in known, code
        if re.match(r"(cry_pipeline|cry_pipeline_tests|docs)/[\w/.*]+$", code):
            assert next(ROOT.glob(code.rstrip("/")), None), f"{code}: there is no such file"
        words = shlex.split(code, comments=True) if code.startswith(("make ", "cry-pipeline ")) else []
        if words and words[0] == "make":
            assert words[1] in targets, code
        elif words:
            _check_call(words[1:], code)


def _check_call(words: list[str], code: str) -> None:
    """Hold a call of the command that is not run against the command: its sub-commands and options exist."""
    from typer.main import get_command

    command: Any = get_command(app)
    while words and (commands := getattr(command, "commands", None)) and not words[0].startswith("-"):
        assert words[0] in commands, code
        command, words = commands[words[0]], words[1:]
    options = {name for parameter in command.params for name in parameter.opts} | {"--help", "--debug"}
    assert {word.strip("[]") for word in words if word.strip("[]").startswith("--")} <= options, code
