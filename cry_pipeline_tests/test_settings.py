"""Settings say what the environment says, or which variable cannot be meant."""

import os
from pathlib import Path

import pytest

from cry_pipeline import side_by_side
from cry_pipeline.settings import Settings, SettingsError, load_settings

PLACES = ("data", "corpus", "catalog", "feature_store")


def refused() -> str:
    with pytest.raises(SettingsError) as error:
        load_settings()
    return str(error.value)


@pytest.mark.parametrize("field", PLACES)
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~", "home"), ("~/t", "home/t"), ("$HOME/t", "home/t"), ("${HOME}/t", "home/t"), (" ~/t ", "home/t"),
        ("t", "here/t"), ("./t", "here/t"), ("a~/t", "here/a~/t"), ("b c/ü", "here/b c/ü"),
    ],
)  # fmt: skip
def test_places_are_filled_in_where_no_shell_does_it(
    field: str, written: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv(f"CRY_PIPELINE_{field.upper()}", written)
    found = getattr(load_settings(), field)
    assert str(found) == str(tmp_path / meant)
    assert list((tmp_path / "here").iterdir()) == []


def test_places_stay_where_they_are_when_the_process_changes_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CRY_PIPELINE_DATA")
    monkeypatch.chdir(tmp_path)
    settings = load_settings()
    monkeypatch.chdir("/")
    assert settings.data == tmp_path / "data"
    assert settings.features == str(tmp_path / "data" / "features")
    assert Settings(data=Path("x"), corpus=None).data == Path("/x")


@pytest.mark.parametrize("field", PLACES)
@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("~nobody-of-this-name/t", "home folder"),
        ("$NOT_SET_HERE/t", "variable that is not set"),
        ("'/t'", "in quotes"),
        (" ", "is blank"),
        (b"/t\xff", "is not UTF-8"),
    ],
)
def test_place_that_cannot_be_meant_is_refused_by_name(
    field: str, written: str | bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"CRY_PIPELINE_{field.upper()}"
    monkeypatch.setenv(name, os.fsdecode(written))
    assert refused().startswith(f"{name}: ")
    assert said in refused()


def test_without_a_home_a_tilde_is_refused_and_all_else_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as it is where neither HOME nor a user is known
    monkeypatch.setenv("CRY_PIPELINE_DATA", "~/t")
    assert "CRY_PIPELINE_DATA: the home folder" in refused()
    monkeypatch.setenv("CRY_PIPELINE_DATA", "/t")
    assert load_settings().data == Path("/t")


def test_a_bucket_is_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRY_PIPELINE_FEATURE_STORE", "s3://bucket/~prefix")
    assert load_settings().features == "s3://bucket/~prefix"


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("CRY_PIPELINE_WORKER", "CRY_PIPELINE_WORKERS"),
        ("CRY_PIPELINE_CATALOGUE", "CRY_PIPELINE_CATALOG"),
        ("CRY_PIPELINE_CORPORA", "CRY_PIPELINE_CORPUS"),
        ("CRY_PIPELINE_DATA_DIR", "CRY_PIPELINE_DATA"),
        ("CRY_PIPELINE_", "CRY_PIPELINE_DATA"),
        ("cry_pipeline_worker", "CRY_PIPELINE_WORKERS"),
        ("CRY_PIPLINE_CORPUS", "CRY_PIPELINE_CORPUS"),
        ("CRYPIPELINE_DATA", "CRY_PIPELINE_DATA"),
    ],
)
def test_misspelt_variable_is_refused_with_the_nearest_name(
    name: str, nearest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "1")
    assert refused().startswith(f"{name}: there is no such setting; the nearest is {nearest}")
    with pytest.raises(ValueError, match=nearest):
        Settings()


def test_other_variables_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CRY_PIPELINE_FAULTS", "CRYPTOGRAPHY_OPENSSL_NO_LEGACY", "CRY_BABY", "PIPELINE_DATA"):
        monkeypatch.setenv(name, "1")
    load_settings()


def test_an_empty_value_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("DATA", "CORPUS", "CATALOG", "FEATURE_STORE", "WORKERS", "ACCELERATOR", "DETERMINISTIC"):
        monkeypatch.setenv(f"CRY_PIPELINE_{name}", "")
    settings = load_settings()
    assert (settings.data, settings.corpus, settings.catalog) == (tmp_path / "data", None, None)
    assert (settings.accelerator, settings.deterministic) == ("auto", False)


def test_all_wrong_values_are_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORKERS": "none", "ACCELERATOR": "tpu", "DATA": "'x'"}.items():
        monkeypatch.setenv(f"CRY_PIPELINE_{name}", value)
    lines = refused().splitlines()
    assert [line.partition(":")[0].removeprefix("CRY_PIPELINE_") for line in lines] == [
        "DATA", "WORKERS", "ACCELERATOR",
    ]  # fmt: skip
    assert "'mps'" in lines[2]


def test_workers_are_as_many_as_there_are_cores_for_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(side_by_side, "cores", lambda: 3)
    assert load_settings().workers == 3
    monkeypatch.setattr(side_by_side, "cores", lambda: 64)
    assert load_settings().workers == 8


def test_addresses_are_made_of_ports_unless_they_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (load_settings().ui_address, load_settings().site_address) == (
        "http://127.0.0.1:3000",
        "http://127.0.0.1:3001",
    )
    monkeypatch.setenv("CRY_PIPELINE_UI_PORT", "3123")
    monkeypatch.setenv("CRY_PIPELINE_SITE_URL", "https://cries.example/reports/")
    assert (load_settings().ui_address, load_settings().site_address) == (
        "http://127.0.0.1:3123",
        "https://cries.example/reports",
    )
    monkeypatch.setenv("CRY_PIPELINE_UI_URL", "javascript:alert(1)")
    with pytest.raises(SettingsError, match="CRY_PIPELINE_UI_URL: is not an address that a browser opens"):
        load_settings()
