"""Evaluation is numbers only: whoever reads evidence waits for no library that trains, draws or schedules."""

import subprocess
import sys

IMPORTED = """
import importlib, pkgutil, sys
from cry_pipeline import evaluation
names = [module.name for module in pkgutil.walk_packages(evaluation.__path__, f"{evaluation.__name__}.")]
for name in names:
    importlib.import_module(name)
print(len(names), *sorted(sys.modules))
"""
HEAVY = {"torch", "pytorch_lightning", "matplotlib", "jinja2", "dagster"}


def test_no_module_of_evaluation_imports_what_trains_draws_or_schedules() -> None:
    made = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True)
    count, *loaded = made.stdout.split()
    assert int(count) >= 10, "all of the package's modules were imported"
    assert HEAVY & set(loaded) == set()
