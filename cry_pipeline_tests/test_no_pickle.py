"""Nothing that the pipeline keeps is a pickle, and nothing of the package loads one: to unpickle is to run code."""

import ast
import zipfile
from pathlib import Path

import pytest

import cry_pipeline

SOURCES = sorted(Path(cry_pipeline.__file__).parent.rglob("*.py"))
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "joblib", "code"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__", "read_pickle", "full_load", "unsafe_load", "load_all"}
"""Names called, with or without what they are of."""
ALLOWED = {
    # What one of our own processes hands to another in memory; nothing that lay on a disk.
    ("side_by_side.py", "pickle"),
    ("side_by_side.py", "joblib"),
    ("task.py", "pickle"),
    ("ray.py", "pickle"),
    # The class of the error with which torch refuses code among weights.
    ("resnet.py", "pickle"),
    # A regular expression.
    ("*", "re.compile"),
}


def uses(tree: ast.AST) -> list[str]:
    """What in a source may load code, in its own words."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.partition(".")[0] in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in FORBIDDEN_MODULES:
            found.append((node.module or "").partition(".")[0])
        elif isinstance(node, ast.Call):
            found += _called(node)
    return found


def _called(call: ast.Call) -> list[str]:
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if last in FORBIDDEN_CALLS and not (last in ("eval", "exec", "compile") and "." in name and name != "re.compile"):
        return [name]
    if name in ("torch.load", "hub.load_state_dict_from_url", "torch.hub.load_state_dict_from_url"):
        return [] if given.get("weights_only") == "True" else [name]
    if name in ("yaml.load", "torch.hub.load", "torch.jit.load", "torch.export.load"):
        return [] if given.get("Loader", "").endswith("SafeLoader") else [name]
    return [f"{name}(allow_pickle)"] if given.get("allow_pickle", "False") != "False" else []


def test_no_source_loads_a_pickle_or_runs_text() -> None:
    found = {
        (path.name, use.partition(".")[0] if use != "re.compile" else use)
        for path in SOURCES
        for use in uses(ast.parse(path.read_text(encoding="utf-8")))
    }
    unexplained = {(name, use) for name, use in found if (name, use) not in ALLOWED and ("*", use) not in ALLOWED}
    assert unexplained == set()
    assert {use for use in ALLOWED if use[0] != "*"} <= found, "what is allowed is still there"


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "import torch; torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.hub.load_state_dict_from_url(url, check_hash=True)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "yaml.load(text, Loader=yaml.Loader)",
        "yaml.unsafe_load(text)",
        "eval(text)",
        "exec(compile(text, '', 'exec'))",
    ],
)
def test_the_look_sees_what_it_is_for(source: str) -> None:
    assert uses(ast.parse(source))


@pytest.mark.parametrize(
    "source",
    ["torch.load(path, weights_only=True)", "np.load(path)", "network.eval()", "yaml.load(t, Loader=SafeLoader)"],
)
def test_the_look_lets_pass_what_is_harmless(source: str) -> None:
    assert not uses(ast.parse(source))


def is_pickle(content: bytes) -> bool:
    """Whether bytes begin as a pickle of protocol 2 to 5 does, or as an old one that would load."""
    return content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def test_no_artefact_of_a_finished_installation_is_or_holds_a_pickle(first_run) -> None:
    data = first_run[0].settings.data
    files = [path for path in data.rglob("*") if path.is_file()]
    assert {".safetensors", ".onnx", ".parquet", ".json", ".db", ".html"} <= {path.suffix for path in files}
    assert [path for path in files if is_pickle(path.read_bytes())] == []
    assert [path for path in files if zipfile.is_zipfile(path)] == [], "as torch writes them, with a pickle inside"
