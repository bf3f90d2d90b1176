"""``python -m cry_pipeline_tests.simulations``: are the error rates of verdicts as stated? On the corpus' own features.

Belongs here: which simulations there are, and what is printed. Does not: any simulation. Each is a module beside this
one with a function ``simulate(installation)`` that yields rates (rates.py) as it finds them; its docstring says what it
simulates. The rules of evidence are tested by them: a rate above what its rule promises ends the command with 1.
"""

import argparse
import logging
import os
import pkgutil
import sys
from importlib import import_module
from pathlib import Path


def simulations() -> dict[str, str]:
    """Return the modules beside this one that simulate something, by name, with the first line of what they do."""
    package = __name__.rpartition(".")[0] or "cry_pipeline_tests.simulations"
    found = {}
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if not module.name.startswith(("__", "test_")):
            loaded = import_module(f"{package}.{module.name}")
            if hasattr(loaded, "simulate"):
                found[module.name] = str(loaded.__doc__).splitlines()[0]
    return found


def main() -> int:
    """Print each rate as it is found, then the table; 1 where a promise is broken."""
    from cry_pipeline.settings import load_settings
    from cry_pipeline_tests.simulations.installation import Installation
    from cry_pipeline_tests.simulations.rates import table

    known = simulations()
    parser = argparse.ArgumentParser(
        prog="python -m cry_pipeline_tests.simulations",
        description="Simulates, on an installation that `make run` has finished, how often verdicts are wrong.",
        epilog="; ".join(f"{name}: {about}" for name, about in known.items()),
    )
    parser.add_argument("--only", choices=sorted(known), action="append", help="one of them; may be repeated")
    asked = parser.parse_args().only or list(known)
    settings = load_settings()
    if not (settings.manifests / "recordings.parquet").exists():
        sys.stderr.write(f"{settings.data} holds no finished installation: run `make run`, or set CRY_PIPELINE_DATA\n")
        return 2
    logging.getLogger("cry_pipeline").setLevel(logging.WARNING)
    lines, installation = [], Installation.of(settings)
    for name in asked:
        simulated = import_module(f"cry_pipeline_tests.simulations.{name}")
        for line in simulated.simulate(installation):
            sys.stderr.write(f"{line}\n")
            lines.append(line)
    sys.stdout.write(f"{table(lines)}\n")
    return int(not all(line.kept for line in lines))


if __name__ == "__main__":
    # Before NumPy is loaded: processes side by side have one thread each.
    for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
    raise SystemExit(main())
