"""What enters which key is one table, and docs/keys.md says what the table says.

`python -m cry_pipeline_tests.test_keys` writes the page's tables anew.
"""

from pathlib import Path

import pytest

from cry_pipeline import keys
from cry_pipeline.features.kinds import KINDS
from cry_pipeline.training.registry import MODELS

PAGE = Path(__file__).parents[1] / "docs" / "keys.md"
BEGIN, END = "<!-- made by cry_pipeline_tests/test_keys.py -->\n", "<!-- end -->\n"


def tables() -> str:
    """Return the tables of stages, kinds of features and models, as they stand in the page."""
    stages = [
        (
            f"`{name}`",
            stage.holds,
            stage.revision,
            ", ".join((*stage.libraries, *(f"**{name}**" for name in stage.exact))),
        )
        for name, stage in keys.STAGES.items()
    ]
    kinds = [(f"`{name}`", kind.revision) for name, kind in KINDS.items()]
    models = [(f"`{name}`", f"`{model.revision}`") for name, model in MODELS.items()]
    return "\n".join(
        [
            _table(("stage", "spec and inputs", "revision", "libraries"), stages),
            _table(("kind of feature", "revision"), kinds),
            _table(("kind of model", "revision"), models),
        ]
    )


def _table(heading: tuple[str, ...], rows: list[tuple]) -> str:
    lines = [heading, ("---",) * len(heading), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)


def _written() -> tuple[str, str, str]:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    made, _, after = rest.partition(END)
    return before, made, after


def test_page_on_keys_says_what_the_table_says() -> None:
    assert _written()[1] == tables(), "write it anew: python -m cry_pipeline_tests.test_keys"


@pytest.mark.parametrize("stage", keys.STAGES)
def test_key_changes_with_spec_inputs_revision_and_each_library(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    own = keys.STAGES[stage]
    monkeypatch.setattr(keys, "_version", lambda name: "1.0")
    seen = {keys.key(stage, {"a": 1}, "x"), keys.key(stage, {"a": 2}, "x"), keys.key(stage, {"a": 1}, "y")}
    monkeypatch.setitem(keys.STAGES, stage, keys.Stage(own.holds, own.revision + 1, own.libraries, own.exact))
    seen.add(keys.key(stage, {"a": 1}, "x"))
    monkeypatch.setitem(keys.STAGES, stage, own)
    for library in (*own.libraries, *own.exact):
        monkeypatch.setattr(keys, "_version", lambda name, changed=library: "999.0" if name == changed else "1.0")
        seen.add(keys.key(stage, {"a": 1}, "x"))
    assert len(seen) == 4 + len(own.libraries) + len(own.exact)


def test_code_version_is_the_key_less_the_data() -> None:
    parts = keys.code_parts("folds", {"a": 1})
    assert keys.code_version("folds", {"a": 1}) == keys.digest(**parts)
    assert keys.key("folds", {"a": 1}, "data") == keys.digest(**parts, inputs="data")


if __name__ == "__main__":
    head, _, tail = _written()
    PAGE.write_text(head + BEGIN + tables() + END + tail, encoding="utf-8")
