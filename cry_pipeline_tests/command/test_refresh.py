"""What is said before a refresh: a line for each asset that takes its time, and how long all of it takes."""

import dagster as dg
import pytest

from cry_pipeline.command.refresh import _duration, _rows, _sum
from cry_pipeline.orchestration.refresh import TRAINED_ALREADY, Plan, Work


def work(name: str, seconds: float | None = 1.0, why: str = "follows", amount: str = "") -> Work:
    return Work(dg.AssetKey(name.split("/")), why, amount, seconds)


def test_quick_stages_and_runs_that_are_there_share_a_line_where_the_last_of_them_is_made() -> None:
    rows = _rows(
        Plan(
            (
                work("reports/manifest", why="never made"),
                work("runs/a", amount=TRAINED_ALREADY),
                work("runs/b", 200.0, amount="5 folds"),
                work("runs/c", amount=TRAINED_ALREADY),
                work("evidence/b", 0.4),
                work("reports/leaderboard", 0.5),
            ),
            9,
        )
    )
    assert [list(row.values()) for row in rows] == [
        ["runs/b", "follows", "5 folds", "3 min"],
        ["runs: 2 assets", "follows", TRAINED_ALREADY, "2 s"],
        ["evidence/b", "follows", "", "1 s"],
        ["reports: 2 assets", "several reasons", "", "2 s"],
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        ([30.0, 45.0], "2 of 9 assets, about 75 s at most: what is there is not made again."),
        (
            [600.0, None],
            "2 of 9 assets, about 10 min, without 1 that are new, at most: what is there is not made again.",
        ),
        ([None, None], "2 of 9 assets; how long they take is not known yet."),
    ],
)
def test_the_whole_says_what_is_not_known(seconds: list[float | None], said: str) -> None:
    assert _sum(Plan(tuple(work(f"runs/{number}", taken) for number, taken in enumerate(seconds)), 9)) == said


def test_what_was_never_made_has_no_time() -> None:
    assert _rows(Plan((work("features/new", None),), 9))[0]["about"] == "not known"


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.0, "1 s"), (89.0, "89 s"), (90.0, "2 min"), (5300.0, "88 min"), (7500.0, "2 h 05 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, said: str) -> None:
    assert _duration(seconds) == said
