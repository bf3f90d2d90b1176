"""Spread N items over the cluster that ``RAY_ADDRESS`` names, from one of its nodes: ``spreading.py FOLDER N NODE``.

Belongs here: the driver, and what its workers do. Does not: what is done to the cluster meanwhile (test_engine.py).
"""

import os
import sys
import time
from functools import partial
from pathlib import Path

WORK_S = 1.5


def write(folder: Path, item: int) -> int:
    """Take some time, and leave a row; as idempotent as all that the pipeline spreads."""
    (folder / f"begun-{item}-{os.getpid()}").touch()
    time.sleep(WORK_S)
    temporary = folder / f".row-{item}-{os.getpid()}"
    temporary.write_text(f"row {item}\n")
    temporary.replace(folder / f"row-{item}")
    return item


def main(folder: Path, count: int, node: str) -> int:
    """Do those items that have no row yet; say each one that comes back, and at last what went wrong."""
    from cry_pipeline.engine import EngineError, engine_of
    from cry_pipeline.engine.ray import _library
    from cry_pipeline_tests.ray import spreading

    # Ray looks for its node among all processes of a machine, and of several it would take the head.
    _library().init(address=os.environ["RAY_ADDRESS"], _node_ip_address=node, log_to_driver=False)
    missing = [item for item in range(count) if not (folder / f"row-{item}").exists()]
    with (folder / "said").open("a", buffering=1) as said:
        try:
            # By the module's own name: this one is __main__, which workers do not have.
            for item, report in engine_of("ray", 1).map(partial(spreading.write, folder), missing, retries=3):
                assert item == report
                said.write(f"done {item}\n")
        except EngineError as error:
            said.write(f"EngineError: {error}\n")
            return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
