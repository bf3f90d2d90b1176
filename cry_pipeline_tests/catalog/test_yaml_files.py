"""A catalog's YAML says what its writer wrote, or is refused with file, line and key."""

import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest

from cry_pipeline.catalog import CatalogError, load_catalog
from cry_pipeline.catalog.loading import PACKAGED, SECTIONS
from cry_pipeline.catalog.yaml_files import MOST_BYTES, YamlError, read_yaml


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the packaged catalog to spoil."""
    for section in SECTIONS:
        shutil.copy(PACKAGED / f"{section}.yaml", tmp_path)
    return tmp_path


def refused(folder: Path) -> str:
    with pytest.raises(CatalogError) as error:
        load_catalog(folder)
    return str(error.value)


def line_of(path: Path, text: str) -> int:
    """The number of the last line that begins with ``text``."""
    return max(number for number, line in enumerate(path.read_text().splitlines(), 1) if line.startswith(text))


def read(tmp_path: Path, text: str | bytes) -> Any:
    path = tmp_path / "some.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_yaml(path)


def test_copied_entry_whose_name_was_forgotten_does_not_replace_the_first(folder: Path) -> None:
    path = folder / "feature_sets.yaml"
    first = line_of(path, "mel64_8k:")
    entry = path.read_text().partition("mel128_8k:")[0].partition("mel64_8k:")[2]
    path.write_text(path.read_text() + "\nmel64_8k:" + entry.replace("8000", "16000"))
    said = refused(folder)
    second = line_of(path, "mel64_8k:")
    assert first < second
    assert f"feature_sets.yaml: line {second}: mel64_8k: is there twice, the first time on line {first}" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: {x: 1, y: 2, x: 3}", "line 1: a.x: is there twice"),
        ("a:\n  - b: 1\n    c:\n      d: 1\n      d: 2\n", "line 5: a.0.c.d: is there twice, the first time on line 4"),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}", "line 2: b.<<: is there twice"),
        ("a: 1\n'a': 2", "line 2: a: is there twice"),
        ("a: &a {x: 1, x: 2}\nb: *a\nc: *a", "line 1: a.x: is there twice"),
        ("1: x", "line 1: '1' is not a name"),
        ("a: {true: x}", "line 1: a: 'true' is not a name"),
        ("a: {~: x}", "line 1: a: '~' is not a name"),
        ("? [a, b]\n: x", "a list or a mapping is not a name"),
        ("a: !!python/object:os.system x", "line 1: a: the type !!python/object:os.system is not known here"),
        ("a: !!int 0160", "line 1: a: the type !!int is not known here"),
        ("a: !!set {b, c}", "the type !!set"),
        ("a: &a [*a]", "leads back to itself"),
        ("a: &a {<<: *a}", "leads back to itself"),
        ("a: 1\nb: {<<: 3}", "line 2: b.<<: expected an alias of keys"),
        ("a: 1e999", "line 1: a: 1e999 is too large a number"),
        ("a: 1\n\tb: 2", "line 2: .*tab: indent with spaces"),
        ("a: 1\nb: 'x", r"not YAML: line \d+: while scanning a quoted scalar"),
        ("a: 1\nb: \x00", r"line 2: a control character, '\\x00'"),
        ("a: 1\n---\nb: 1", "expected a single document"),
        ("a: *b", "undefined alias"),
        (b"a: 1\nb: \xff", "line 2 is not UTF-8"),
        ("a: 1".encode("utf-16"), "line 1 is not UTF-8"),
        ("[" * 5000, "line 1: entries are nested more than 40 deep"),
        ("".join(" " * depth + "a:\n" for depth in range(300)), "line 40: entries are nested more than 40 deep"),
        ("a: &a0 [x]\n" + "".join(f"b{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 40)), "more than 40 deep"),
        ("a: &a0 {x: 1}\n" + "".join(f"b{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 40)), "more than 40 deep"),
        ("a: 1" + "0" * 16, f"line 1: a: 1{'0' * 16} is too large a number"),
        ("a: -1" + "0" * 5000, f"line 1: a: -1{'0' * 78} is too large a number"),
        ("a: '\u202egnp.exe'", r"line 1: a: holds '\\u202e', which is no character of a text"),
        ('a: "\\e[31m"', r"line 1: a: holds '\\x1b', which is"),
        ('a: "\\ud800"', r"line 1: a: holds '\\ud800', which is"),
        ('a: {"\\e[31m": 1}', r"line 1: a: holds '\\x1b', which is"),
        ('a: {"x\\ny": 1}', r"line 1: a: 'x\\ny' is not a name"),
        ("a: !%1B x", r"the type !\\x1b is not known here"),
        ("a: " + "x" * MOST_BYTES, "has more than 100000 bytes, which no catalog has"),
        ("a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{b}: &{b} [{', '.join(['*' + a] * 10)}]\n" for a, b in zip("abcde", "bcdef", strict=True)
        ), "aliases stand for more than 100000 entries"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_file_line_and_key(tmp_path: Path, text: str | bytes, said: str) -> None:
    with pytest.raises(YamlError, match=f"some.yaml: .*{said}") as error:
        read(tmp_path, text)
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"), ("on", "on"), ("Off", "Off"), ("y", "y"),
        ("0160", "0160"), ("0x10", "0x10"), ("0o17", "0o17"), ("1_000", "1_000"), ("1:30", "1:30"),
        ("2015-05-01", "2015-05-01"), (".nan", ".nan"), (".inf", ".inf"), ("=", "="), ("<<x", "<<x"),
        ("1e3", 1000.0), ("1e-3", 0.001), ("-.5", -0.5), ("3.", 3.0), ("+12", 12), ("0", 0), ("-7", -7),
        ("true", True), ("False", False), ("~", None), ("", None), ("null", None),
        ("'true'", "true"), ('"12"', "12"), ("''", ""), ("|\n  12\n", "12\n"),
    ],
)  # fmt: skip
def test_scalars_are_read_as_yaml_1_2_does_with_no_second_way_to_write_a_number(
    tmp_path: Path, written: str, meant: Any
) -> None:
    found = read(tmp_path, f"a: {written}")["a"]
    assert (found, type(found)) == (meant, type(meant))


def test_own_keys_win_over_merged_ones_and_the_first_of_several(tmp_path: Path) -> None:
    text = "a: &a {x: 1, y: 1}\nb: &b {y: 2, z: 2}\nc: {z: 3, <<: [*a, *b]}\n'<<': text"
    assert read(tmp_path, text)["c"] == {"x": 1, "y": 1, "z": 3}
    assert read(tmp_path, text)["<<"] == "text"


def test_byte_order_mark_and_windows_line_ends_are_no_fault(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbfa: 1\r\nb: [x]\r\n") == {"a": 1, "b": ["x"]}


@pytest.mark.parametrize(
    ("section", "old", "new", "said"),
    [
        ("feature_sets", "mels: 64", "mels: 064", "feature_sets.yaml: mel64_8k.mels: expected a whole number"),
        ("feature_sets", "mels: 64", "mels: true", "mel64_8k.mels: expected a whole number"),
        ("feature_sets", "mels: 64", "mels: '64'", "mel64_8k.mels: expected a whole number"),
        ("feature_sets", "mels: 64", "mels: 64.0", "mel64_8k.mels: expected a whole number"),
        ("feature_sets", "mels: 64", "mels: 6_4", "mel64_8k.mels: expected a whole number"),
        ("feature_sets", "mels: 64", "mels:", "mel64_8k.mels: expected a whole number"),
        ("feature_sets", "mels: 64", "mels: 64\n  mfcc_deltas: true", "mfcc_deltas: expected a whole number"),
        ("feature_sets", "fmin_hz: 50", "fmin_hz: 0_50", "mel64_8k.fmin_hz: expected a number"),
        ("feature_sets", "fmin_hz: 50", "fmin_hz: true", "mel64_8k.fmin_hz: expected a number"),
        ("feature_sets", "fmin_hz: 50", "fmin_hz: .nan", "mel64_8k.fmin_hz: expected a number"),
        ("feature_sets", "mels: 64", "mels: 64\n  center: no", "mel64_8k.center: expected true or false"),
        ("feature_sets", "mels: 64", "mels: 64\n  center: 0", "mel64_8k.center: expected true or false"),
        ("feature_sets", "  description: The default.", "  description: 3 #", "description: expected text"),
        ("models", "bins: 64", "bins: 0100", "models.yaml: lfeb_attention_lstm.bins: expected a whole number"),
        ("models", "trees: 500", "trees: 5e2", "random_forest.trees: expected a whole number"),
        ("models", "kind: majority", "", "models.yaml: majority: kind is missing"),
        ("cohorts", "classes: [not_cry, cry]", "classes: not_cry", "curation.classes: expected a list"),
        ("experiments", "cohort: cleaned", "cohort: 3", "reason.cohort (as "),
        ("champion", "reason: [", "reason: some #[", "champion.yaml: reason: expected a list"),
        ("champion", "reason: [", "reasons: [", "champion.yaml: reasons: no such key"),
    ],
)
def test_a_value_is_not_made_of_another_type(folder: Path, section: str, old: str, new: str, said: str) -> None:
    path = folder / f"{section}.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    assert said in refused(folder)


def test_whole_numbers_and_powers_of_ten_are_taken_for_numbers(folder: Path) -> None:
    path = folder / "models.yaml"
    path.write_text(path.read_text().replace("learning_rate: 0.002", "learning_rate: 2e-3"))
    assert load_catalog(folder) == load_catalog()


def test_no_and_on_are_names(folder: Path) -> None:
    path = folder / "cohorts.yaml"
    path.write_text(path.read_text() + "\nno: {processing: raw, sources: [inbox], target: reason, labels: "
                    "{on: yes, off: no}, classes: [yes, no]}\n")  # fmt: skip
    cohort = load_catalog(folder).cohorts["no"]
    assert (cohort.labels, cohort.classes) == ({"on": "yes", "off": "no"}, ("yes", "no"))


@pytest.mark.parametrize("text", ["", "# no champion yet\n", "---\n", "cry:\nreason:\n", "cry: []", "{}", "reason: []"])
def test_champion_file_that_names_nothing_means_none_yet(folder: Path, text: str) -> None:
    (folder / "champion.yaml").write_text(text)
    assert load_catalog(folder).champion.cry == load_catalog(folder).champion.reason == ()


def test_other_files_that_name_nothing_are_refused(folder: Path) -> None:
    (folder / "models.yaml").write_text("# later\n")
    (folder / "protocols.yaml").write_text("- donor_grouped\n")
    (folder / "champion.yaml").write_text("none")
    said = refused(folder)
    assert "models.yaml: expected names with their parameters, found nothing" in said
    assert "protocols.yaml: expected names with their parameters, found a list" in said
    assert "champion.yaml: expected names with their parameters, found 'none'" in said


def test_faults_of_all_files_are_said_at_once_one_to_a_line(folder: Path) -> None:
    for section, old, new in (
        ("feature_sets", "mels: 64", "mels: 064"),
        ("models", "trees: 500", "tree: 500"),
        ("cohorts", "target: cry", "target: cries"),
        ("protocols", "folds: 5", "folds: 5\n  folds: 4"),
        ("experiments", "models: [svm_covariance]", "models: svm_covariance"),
    ):
        path = folder / f"{section}.yaml"
        path.write_text(path.read_text().replace(old, new, 1))
    lines = refused(folder).splitlines()
    assert len(lines) == 5
    for section in ("feature_sets", "models", "cohorts", "protocols", "experiments"):
        assert sum(f"/{section}.yaml: " in line for line in lines) == 1


def test_unknown_names_in_experiments_and_champion_are_said_together(folder: Path) -> None:
    path = folder / "experiments.yaml"
    path.write_text(path.read_text().replace("all_metadata, svm_covariance]", "all_metadata, svm_covarianse]"))
    said = refused(folder)
    assert "'svm_covarianse' is not in the catalog" in said
    assert "champion.yaml: 'curation_svm_covariance_donor_hashed' is not in the catalog" in said


def test_misspelt_file_is_said_with_the_nearest_name(folder: Path) -> None:
    (folder / "experiments.yaml").rename(folder / "experiment.yaml")
    (folder / "champion.yaml").rename(folder / "champion.yml")
    (folder / ".#models.yaml").write_text("what an editor leaves")
    said = refused(folder)
    assert "experiment.yaml: a catalog has no such file (is experiments.yaml meant?)" in said
    assert "champion.yml: a catalog has no such file (is champion.yaml meant?)" in said
    assert "experiments.yaml: no such file" in said
    assert len(said.splitlines()) == 4


def test_what_is_no_file_is_not_opened(folder: Path) -> None:
    for section, make in (
        ("models", Path.mkdir),
        ("cohorts", os.mkfifo),
        ("protocols", lambda path: path.symlink_to("/dev/zero")),
    ):
        path = folder / f"{section}.yaml"
        path.unlink()
        make(path)
    said = refused(folder)
    for section in ("models", "cohorts", "protocols"):
        assert f"{section}.yaml: is not a file" in said


def test_an_enormous_file_is_not_read(folder: Path) -> None:
    os.truncate(folder / "models.yaml", 2**40)
    assert "models.yaml: has more than 100000 bytes, which no catalog has" in refused(folder)


def test_the_slowest_file_of_the_allowed_size_takes_seconds(tmp_path: Path) -> None:
    entries = MOST_BYTES // 2 - 10
    began = time.process_time()
    assert read(tmp_path, f"a: [{'1,' * entries}]") == {"a": [1] * entries}
    assert time.process_time() - began < 10


def test_a_file_that_may_not_be_read_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.open

    def forbidden(path: Path, *how: Any) -> Any:
        if path.name == "models.yaml":
            raise PermissionError(13, "Permission denied")
        return real(path, *how)

    monkeypatch.setattr(Path, "open", forbidden)
    assert "models.yaml: cannot be read (Permission denied)" in refused(folder)


def test_a_wrong_value_is_shown_in_part_where_it_is_long(folder: Path) -> None:
    path = folder / "feature_sets.yaml"
    path.write_text(path.read_text().replace("mels: 64", f"mels: [{', '.join(['1'] * 3000)}]", 1))
    assert len(refused(folder)) < 400
