"""The command withdraws whom it was told to, after a word, and says what is left."""

import pytest
from typer.testing import CliRunner

from cry_pipeline.command.main import app
from cry_pipeline.command.withdraw import WithdrawnError

DONOR, OTHER = "0a1b2c3d-0000-4000-8000-00000000000a", "9f8e7d6c-0000-4000-8000-00000000000b"


def called(*arguments: str):
    return CliRunner().invoke(app, ["withdraw", *arguments])


@pytest.fixture
def inbox(settings):
    settings.inbox.mkdir(parents=True)
    for donor in (DONOR, OTHER):
        (settings.inbox / f"{donor}-1431028888000-1.7-f-04-hu.wav").write_bytes(donor.encode() * 20)
    return settings.inbox


def test_a_dry_run_says_where_it_is_and_what_is_out_of_reach_and_changes_nothing(settings, inbox):
    said = called("--donor", DONOR.upper(), "--dry-run")
    assert said.exit_code == 0
    for part in (f"{inbox}/{DONOR}", "1 donors, 1 recordings", "backups", "Nothing was changed"):
        assert part in said.stdout
    assert len(list(inbox.iterdir())) == 2
    assert not settings.withdrawn.exists()


def test_nobody_is_withdrawn_without_a_word(settings, inbox):
    assert "Nothing was changed" in called("--donor", DONOR).stdout
    assert len(list(inbox.iterdir())) == 2


def test_whom_it_was_told_to_is_gone_and_what_comes_again_is_found(settings, inbox):
    (file,) = inbox.glob(f"{DONOR}*")
    content = file.read_bytes()
    said = called("--donor", DONOR, "--yes")
    assert (said.exit_code, "finds nothing" in said.stdout) == (0, True)
    assert [path.name[:36] for path in inbox.iterdir()] == [OTHER]
    assert called("--verify").exit_code == called("--verify", "--donor", DONOR).exit_code == 0
    file.write_bytes(content)
    again = called("--verify")
    assert isinstance(again.exception, WithdrawnError)
    assert str(file) in again.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "name whom to withdraw"),
        (("--donor", "anna"), "'anna' is no donor"),
        (("--recording", "cry.wav"), "no recording that is known here"),
        (("--donor", DONOR, "--yes", "--reason", "a\nb"), "is no reason"),
    ],
)
def test_what_is_not_clear_is_said(settings, inbox, arguments, said):
    assert said in str(called(*arguments).exception)
    assert not (settings.withdrawn / ".unfinished").exists()


def test_the_doctor_tells_of_a_withdrawal_that_was_not_finished(settings, inbox):
    (settings.data / "notes.txt").write_text(DONOR)
    assert isinstance(called("--donor", DONOR, "--yes").exception, WithdrawnError)
    said = CliRunner().invoke(app, ["doctor"])
    assert (said.exit_code, "was not finished" in said.stdout) == (1, True)
    (settings.data / "notes.txt").unlink()
    assert called("--yes").exit_code == 0
    assert "2 tombstones" in CliRunner().invoke(app, ["doctor"]).stdout
