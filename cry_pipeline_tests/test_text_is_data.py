"""Every text from outside is shown as it is, everywhere: nothing in it is obeyed, and it begins no line."""

import io
import json
import logging
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pandas as pd
import pytest

import cry_pipeline
from cry_pipeline.command import main as cli
from cry_pipeline.command import terminal
from cry_pipeline.command.predict import _row
from cry_pipeline.corpus.contradictions import find_contradictions
from cry_pipeline.corpus.filenames import FilenameError, describe
from cry_pipeline.corpus.listing import SourceError, list_files
from cry_pipeline.corpus.paths import printable, unprintable
from cry_pipeline.corpus.refusals import Refusal
from cry_pipeline.inference.listing import list_audio
from cry_pipeline.inference.predict import Prediction
from cry_pipeline.orchestration.reporting import points, table
from cry_pipeline.quoting import shown
from cry_pipeline.reports.leaderboard import LEADERBOARD
from cry_pipeline.reports.report import Material
from cry_pipeline.reports.site import SITE
from cry_pipeline.training.models import Epoch
from cry_pipeline_tests.corpus.conftest import SmallCorpus, write
from cry_pipeline_tests.corpus.inventories import inventory
from cry_pipeline_tests.hostile import HOSTILE, names_of_files, unseen
from cry_pipeline_tests.reports.test_leaderboard import CATALOG, Page, check_policy, html_of

LOG = logging.getLogger("cry_pipeline")
PACKAGE = Path(cry_pipeline.__file__).parent


@pytest.fixture
def out(capfd: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """What was written, to stdout or stderr, since the last look."""
    return lambda: "".join(capfd.readouterr())


def written(title: str | None = None, column: str = "file", value: str = "") -> Callable[[str], None]:
    """Return what writes a text into a place of a table."""

    def write(text: str) -> None:
        places = {"title": title, "column": column, "value": value}
        filled = {name: text if place == "?" else place for name, place in places.items()}
        terminal.print_table([{str(filled["column"]): filled["value"], "n": 1}], title=filled["title"])

    return write


def answered(text: str) -> None:
    """Write what `predict` says of a file of this name that cannot be used."""
    said = Prediction(text, None, {}, True, f"error: {text} cannot be read", "0", text)
    terminal.print_table([_row(said)])
    assert json.loads(said.as_json())["path"] == text
    assert said.as_json().isascii()


TERMINAL = {
    "cell": written(value="?"),
    "column": written(column="?"),
    "title": written(title="?"),
    "line": terminal.say,
    "answer": answered,
}


@pytest.mark.parametrize("surface", TERMINAL)
@pytest.mark.parametrize("columns", [None, 40])
def test_terminal(surface: str, columns: int | None, out, monkeypatch: pytest.MonkeyPatch) -> None:
    if columns:  # of a terminal that takes no colours
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TERM", "dumb")
    TERMINAL[surface]("a")
    lines = len(out().splitlines())
    for kind, text in HOSTILE.items():
        TERMINAL[surface](text)
        said = out()
        assert unseen(said) <= {"\n"}, kind
        if not columns:  # a narrow table folds them
            assert re.sub(r"\s", "", shown(text)) in re.sub(r"\s", "", said), kind
            assert surface == "title" or len(said.splitlines()) == lines, kind


def lines_of_log(log: Callable[[str], None], text: str) -> list[str]:
    """Return what any handler writes of a record, as Dagster's would."""
    file = io.StringIO()
    handler = logging.StreamHandler(file)
    handler.setFormatter(logging.Formatter("TIME %(message)s"))
    LOG.addHandler(handler)
    try:
        log(text)
    finally:
        LOG.removeHandler(handler)
    return file.getvalue().splitlines()


def raised(text: str) -> None:
    try:
        int(text + "\n" + text)
    except ValueError:
        LOG.exception("%s failed", text)


LOGS: dict[str, Callable[[str], None]] = {
    "argument": lambda text: LOG.error("%s of %d", text, 3),
    "argument that is no text": lambda text: LOG.error("%r is %.1f", Path(text.replace("\0", "")), 0.5),
    "message": lambda text: LOG.error(text.replace("%", "%%"), *()),
    "traceback": raised,
}


@pytest.mark.parametrize("surface", LOGS)
def test_logs(surface: str) -> None:
    for kind, text in HOSTILE.items():
        first, *rest = lines_of_log(LOGS[surface], text)
        assert first.startswith("TIME "), kind
        assert not unseen("".join([first, *rest])), kind
        assert all(line.startswith("  ") for line in rest), "no other line could be taken for a record's"
        assert surface in ("message", "traceback", "failure") or not rest, kind


def test_every_module_logs_to_the_logger_that_quotes() -> None:
    names = {name for path in PACKAGE.rglob("*.py") for name in re.findall(r"getLogger\((.*?)\)", path.read_text())}
    assert names == {'"cry_pipeline"', '"pytorch_lightning"', '"torch.onnx"', "__name__"}
    assert "getLogger(__name__)" in (PACKAGE / "__init__.py").read_text()


def test_lines_are_written_by_what_quotes_them() -> None:
    """But for the errors of main.py, which are quoted there, and the installer, which shows no text of others."""
    direct = re.compile(r"\bprint\(|\becho\(|secho\(|std(out|err)\.write\(")
    found = Counter(path.name for path in PACKAGE.rglob("*.py") for _ in direct.findall(path.read_text()))
    assert set(found) == {"terminal.py", "main.py", "install.py", "export.py"}
    assert found["main.py"] == 3, "the version, what a stop keeps, and the sentence of an error"


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Run the command in this process, and return what it says."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setenv("TERM", "dumb")

    def call(*arguments: str) -> str:
        monkeypatch.setattr(sys, "argv", ["cry-pipeline", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        return "".join(capfd.readouterr())

    return call


@pytest.mark.parametrize("arguments", [["?"], ["ui", "?"], ["ui", "--port", "?"], ["ui", "--?"], ["corpus", "?"]])
def test_wrong_usage(arguments: list[str], ended) -> None:
    for kind, text in HOSTILE.items():
        said = ended(*(argument.replace("?", text.replace("\0", "")) for argument in arguments))
        assert unseen(said) <= {"\n"}, kind
        assert not re.search(r"^(error|12:00)", said, re.MULTILINE), kind


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, FileNotFoundError, KeyError])
def test_errors_of_a_command(kind: type[Exception], ended, out, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in HOSTILE.items():
        error = kind(2, "No such file", text) if kind is FileNotFoundError else kind(text)

        def fail(_models: Path, error: Exception = error) -> None:
            raise error

        monkeypatch.setattr("cry_pipeline.inference.champions.current", fail)
        said = ended("champion", "show")
        assert unseen(said) <= {"\n"}, name
        terminal.show_traceback(type(error), error, None)
        assert unseen(out()) <= {"\n"}, name


def test_debug_shows_a_traceback_as_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cry_pipeline.inference.champions.current", lambda _: int("\x1b[2J"))
    monkeypatch.setattr(sys, "argv", ["cry-pipeline", "--debug", "champion", "show"])
    monkeypatch.setattr(sys, "excepthook", sys.__excepthook__)
    with pytest.raises(ValueError, match="invalid literal"):
        cli.main()
    assert sys.excepthook is terminal.show_traceback


def test_tables_hold_what_is_fit_to_be_shown() -> None:
    for kind, text in HOSTILE.items():
        name = text.replace("\0", "").replace("\ud800", "")
        assert not unseen(printable(name)), kind
        assert unprintable(printable(name)) == name, kind
        detail = Refusal("odd_name", text).detail
        assert not unseen(detail), kind
        assert len(detail) < 600
        with pytest.raises(FilenameError) as error:
            describe(printable(name), json.dumps({text: text}).encode())
        assert not unseen(Refusal("odd_name", str(error.value)).detail), kind


def test_names_of_files_from_folder_to_tables_log_and_answers(tmp_path: Path, out, caplog) -> None:
    caplog.set_level(logging.INFO)
    names, small = names_of_files(), SmallCorpus(tmp_path)
    inbox = small.folder / "inbox"
    for name in names:
        write(inbox / name, name.encode("utf-8", "surrogateescape"))
        (inbox / f"{name}.part").touch()
        (inbox / f"folder of {name}").mkdir()
        (inbox / f"told {name}").touch()
        (inbox / f"told {name}.json").write_text(json.dumps({name: name}))
    built, listed = small.build(), inventory(small)
    assert len(built.quarantine) == 2 * len(names)
    paths = {unprintable(path) for path in built.quarantine["path"]}
    assert paths == {*names, *(f"told {name}" for name in names)}
    texts = [*built.quarantine["path"], *built.quarantine["detail"], *caplog.messages]
    texts += [text for entry in listed.attrs["left_aside"] for text in entry.values()]
    assert not [text for text in texts if unseen(text)]
    assert len(listed.attrs["left_aside"]) == 2 * len(names)
    twins = pd.DataFrame({"path": built.quarantine["path"], "reason": "tired", "donation_id": "x"})
    twins["root"], twins["name"] = built.quarantine["root"], built.quarantine["path"]
    twins["samples_digest"] = [str(number) for number in range(len(twins))]
    twins.loc[0, "reason"] = "hungry"
    (sentence,) = find_contradictions(twins)
    assert not unseen(sentence)
    asked = list_audio([inbox])
    assert {file.name for file in asked.files} == paths
    terminal.say(asked.sentence)
    assert unseen(out()) == {"\n"}


def test_answers_about_files_by_hostile_names(tmp_path: Path, ended) -> None:
    small, names = SmallCorpus(tmp_path), names_of_files()
    small.write(f"inbox/{names[0]}")
    for name in names[1:]:
        write(tmp_path / "inbox" / name, b"no sound")
    asked = ["predict", "--bundle", str(Path(__file__).parent / "data" / "bundle_format_1"), str(tmp_path / "inbox")]
    said = ended(*asked)
    assert unseen(said) <= {"\n"}
    assert not [name for name in names if shown(name) not in said]
    lines = [line for line in ended(*asked, "--json").splitlines() if line.startswith("{")]
    assert {Path(json.loads(line)["path"]).name for line in lines} == set(names)


def test_folder_that_cannot_be_listed_is_named_in_plain_text(tmp_path: Path) -> None:
    for name in names_of_files():
        with pytest.raises(SourceError) as error:
            list(list_files(tmp_path / name, tmp_path, sidecars=True))
        assert not unseen(str(error.value))


def test_dagster_gets_text_and_no_markdown() -> None:
    texts = list(HOSTILE.values())
    for value in (points(texts), table(pd.DataFrame({"path": texts}, dtype=object))):
        assert type(value).__name__ == "TableMetadataValue"
        cells = [cell for record in value.records for cell in record.data.values()]
        assert cells[:-1] == [shown(text) for text in texts[:-1]]
        assert len(str(cells[-1])) < 600 < len(texts[-1])
    markdown = {
        path.name: len(re.findall(r"MetadataValue\.md\(|\.url\(|\.notebook\(", path.read_text()))
        for path in PACKAGE.rglob("*.py")
    }
    assert {name: found for name, found in markdown.items() if found} == {"reporting.py": 2}, "our pictures and pages"


def test_pages_show_texts_and_gain_no_tag_by_them(evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cry_pipeline.reports.figures.intervals.png", lambda made: bytes(24))
    texts = [text.encode("utf-8", "backslashreplace").decode().replace("\0", "") for text in HOSTILE.values()]
    plain = [f"plain {number}" for number in range(len(texts))]
    for report in (LEADERBOARD, SITE):
        pages = []
        for said in (plain, texts):
            found = evidence("x", details=dict(zip(said, said, strict=True)))
            page = html_of(report, Material(CATALOG, [found], dict(zip(said, said, strict=True))))
            pages.append(Page(page))
            check_policy(pages[-1], page)
        tags = [[(tag, sorted(attributes)) for tag, attributes in page.attributes] for page in pages]
        assert tags[0] == tags[1]
        words = " ".join(pages[1].words)
        assert not [text for text in texts if text not in words]


def test_the_only_csv_holds_numbers() -> None:
    """A spreadsheet takes a cell that begins with = + - @ for a formula: text of others stays in Parquet and JSON."""
    assert set(get_type_hints(Epoch).values()) == {int, float}
    code = {path.name: path.read_text() for path in PACKAGE.rglob("*.py")}
    assert {name for name, text in code.items() if re.search(r"to_csv|csv\.|to_excel|to_html", text)} == {
        "fold_folders.py"
    }
