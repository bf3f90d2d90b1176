"""The command: helpful to a newcomer, quick to answer, and clear when something is wrong."""

import os
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml

from cry_pipeline.catalog.loading import PACKAGED
from cry_pipeline.command import leaderboard
from cry_pipeline.command import main as cli
from cry_pipeline_tests.processes import heed_ctrl_c

COMMAND = str(Path(sys.executable).with_name("cry-pipeline"))
HEAVY = {"torch", "dagster", "pytorch_lightning", "librosa", "sklearn", "pandas", "matplotlib", "zarr", "av", "numpy"}


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, env=os.environ | environment, timeout=120, check=False
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], ["run", "refresh", "ui", "corpus", "features", "leaderboard"]),
        (["run"], ["corpus → manifest → features", "--select"]),
        (["refresh"], ["all that follows", "--dry-run", "--yes"]),
        (["corpus"], ["get", "synth", "check"]),
        (["corpus", "synth"], ["--effect", "byte for byte"]),
        (["features"], ["list", "show"]),
        (["features", "show"], ["--plot"]),
        (["leaderboard"], ["majority rate"]),
        (["predict"], ["--json", "--bundle", "Not for diagnosis"]),
        (["champion"], ["show", "history", "rollback"]),
        (["serve"], ["--port", "stored nowhere"]),
        (["site"], ["export"]),
    ],
)
def test_help_says_what_a_command_does(arguments: list[str], said: list[str]):
    result = run(*arguments, "--help", COLUMNS="120", TERM="dumb")
    assert result.returncode == 0
    for words in said:
        assert words in result.stdout


def test_help_imports_nothing_heavy():
    script = f"import sys, cry_pipeline.command.main; print(sorted({HEAVY!r} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["leaderboard"], {}, "materialize it with `cry-pipeline run`"),
        (["champion", "show"], {}, "there is no champion"),
        (["champion", "history"], {}, "no champion yet"),
        (["champion", "rollback"], {}, "no champion"),
        (["predict", "x.wav"], {}, "make one with `cry-pipeline run`"),
        (["features", "show", "mel99"], {}, "no feature set 'mel99'; the catalog has babycare_22k"),
        (["features", "show", "mel64_8k", "--plot", "x.png"], {}, "no features of any recording are stored"),
        (["features", "list"], {"CRY_PIPELINE_WORKERS": "none"}, "CRY_PIPELINE_WORKERS"),
        (["features", "list"], {"CRY_PIPELINE_CATALOG": "nowhere"}, "cohorts.yaml: no such file"),
        (["corpus", "get"], {"CRY_PIPELINE_CORPUS": "nowhere"}, "nowhere"),
        (["corpus", "synth", "new", "--donors", "2"], {}, "donors"),
    ],
)
def test_error_is_said_in_a_sentence_without_traceback(
    arguments: list[str], environment: dict[str, str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments, **environment)
    assert result.returncode == 1
    assert said in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.stderr


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """A function that runs the command in this process: exit code, stdout, stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cry-pipeline", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capfd.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return call


@pytest.mark.parametrize("arguments", [("--version",), ("--version", "run"), ("--debug", "--version")])
def test_version_is_said_without_a_command(arguments: tuple[str, ...], main) -> None:
    assert main(*arguments) == (0, version("cry-pipeline") + "\n", "")


@pytest.mark.parametrize(
    "arguments", [("--debug", "champion", "show"), ("champion", "--debug", "show"), ("champion", "show", "--debug")]
)
def test_debug_shows_the_traceback_wherever_it_stands(
    arguments: tuple[str, ...], main, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["cry-pipeline", *arguments])
    with pytest.raises(ValueError, match="no champion"):  # what Python then shows whole
        cli.main()
    status, _, said = main(*(argument for argument in arguments if argument != "--debug"))
    assert (status, said.partition(":")[0]) == (1, "error")


def test_a_file_may_be_called_debug() -> None:
    assert cli._without_debug(["predict", "--debug", "--", "--debug"]) == (["predict", "--", "--debug"], True)
    assert cli._without_debug(["predict", "--", "--debug"]) == (["predict", "--", "--debug"], False)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (ValueError("a\x1b]0;title\x07 \udcff\nb"), "error: a\\x1b]0;title\\x07 \\xff\nb\n"),
        (OSError(28, "No space left on device", "/x/[red]y"), "error: /x/[red]y: No space left on device\n"),
        (KeyError("name"), "error: KeyError: 'name' (a fault of the program; --debug shows where)\n"),
        (MemoryError(), "error: MemoryError:  (a fault of the program; --debug shows where)\n"),
    ],
)
def test_an_error_is_shown_as_data(raised: Exception, said: str, main, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_models: Path) -> None:
        raise raised

    monkeypatch.setattr("cry_pipeline.inference.champions.current", fail)
    monkeypatch.setattr(cli, "close_output", lambda: None)
    assert main("champion", "show") == (1, "", said)


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (("champion", "show"), "nothing was changed by half"),
        (("store", "verify"), "the store is as whole as before; the same command goes on"),
    ],
)
def test_ctrl_c_says_what_is_kept_and_how_to_go_on(
    arguments: tuple[str, ...], kept: str, main, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("cry_pipeline.settings.load_settings", interrupt)
    status, out, said = main(*arguments)
    assert (status, out) == (130, "")
    assert said.strip().startswith("Stopped: ")
    assert kept in said


def test_ctrl_c_in_the_middle_of_work_leaves_no_half_of_it(tmp_path: Path) -> None:
    command = [COMMAND, "corpus", "synth", str(tmp_path / "corpus"), "--donors", "4000"]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,
    )
    with process:
        try:
            until = time.monotonic() + 100
            while not any(tmp_path.rglob("*.caf")) and process.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
            os.killpg(process.pid, signal.SIGINT)
            said = process.communicate(timeout=100)[1]
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert "Stopped: " in said
    assert "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["store", "--help"]])
def test_a_reader_that_leaves_ends_the_command_quietly(arguments: list[str]) -> None:
    read, write = os.pipe()
    os.close(read)
    result = subprocess.run([COMMAND, *arguments], stdout=write, stderr=subprocess.PIPE, timeout=120, check=False)
    os.close(write)
    assert result.stderr == b""
    assert result.returncode in (1, 141)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_said_once() -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run([COMMAND, "--version"], stdout=full, stderr=subprocess.PIPE, timeout=120, check=False)
    assert result.returncode == 1
    assert result.stderr == b"error: No space left on device\n"


def test_help_loads_little() -> None:
    script = "import sys; from cry_pipeline.command.main import app; app(['--help'], standalone_mode=False); "
    script += "print(len(sys.modules), file=sys.stderr)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    # seconds are the machine's; what help loads is ours: 343 modules took half a second of a slow core
    assert int(result.stderr) < 400


def test_features_of_another_catalog_are_listed_with_what_is_stored(tmp_path: Path):
    for path in PACKAGED.glob("*.yaml"):
        (tmp_path / path.name).write_text(path.read_text())
    sets = yaml.safe_load((tmp_path / "feature_sets.yaml").read_text())
    sets["mine"] = sets["mel64_8k"] | {"hop_samples": 64}
    (tmp_path / "feature_sets.yaml").write_text(yaml.safe_dump(sets))
    result = run("features", "list", CRY_PIPELINE_CATALOG=str(tmp_path))
    row = next(line for line in result.stdout.splitlines() if line.split()[:1] == ["mine"])
    assert "256/64" in row
    assert "0.0 MB" in row


def test_corpus_is_generated_found_and_checked(tmp_path: Path):
    corpus = tmp_path / "corpus"
    made = run("corpus", "synth", str(corpus), "--donors", "8")
    assert made.returncode == 0, made.stderr
    found = run("corpus", "get", CRY_PIPELINE_CORPUS=str(corpus))
    assert found.stdout.strip() == str(corpus)
    assert "SYNTHETIC DATA" in found.stderr
    checked = run("corpus", "check", str(corpus))
    assert checked.returncode == 1
    assert "missing" in checked.stdout


def test_selection_that_names_nothing_is_an_error(tmp_path: Path):
    result = run("run", "--select", 'key:"features/mel99"', CRY_PIPELINE_CORPUS=str(tmp_path))
    assert result.returncode == 1
    assert "mel99" in result.stderr
    assert "Traceback" not in result.stderr


def test_leaderboard_has_each_figure_with_its_interval_and_the_accuracy_beside_the_majority_rate():
    found = {"model": "svm", "feature_set": "mel64_8k", "protocol": "donor_grouped"}
    found |= {"value": 0.946, "low": 0.923, "high": 0.967, "accuracy": 0.883}
    found |= {"majority_rate": 0.501, "verdict": "above chance", "qualification": "donors on both sides"}
    row = leaderboard._leaderboard_row(found)
    assert row["model"] == "svm on mel64_8k"
    assert row["value [95 % interval]"] == "0.946 [0.923, 0.967]"
    assert row["verdict"] == "above chance †"
    assert list(row)[-2:] == ["accuracy", "majority"]


@pytest.mark.parametrize(
    ("typed", "position", "offered"),
    [("cry-pipeline lea", 1, "leaderboard"), ("cry-pipeline features show mel1", 3, "mel128_8k")],
)
def test_the_shell_completes_commands_and_names_of_the_catalog(typed: str, position: int, offered: str) -> None:
    asked = run(_CRY_PIPELINE_COMPLETE="complete_bash", COMP_WORDS=typed, COMP_CWORD=str(position))
    assert asked.stdout.split() == [offered]


def test_a_misspelt_command_or_name_is_told_the_nearest(main) -> None:
    assert "Did you mean 'leaderboard'?" in main("leaderbord")[2]
    assert "is mel64_8k meant?" in main("features", "show", "mel64_8")[2]
    assert "is mel64_8k meant?" in main("store", "verify", "mel64-8k")[2]
