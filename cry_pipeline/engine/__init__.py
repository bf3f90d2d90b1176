"""What spreads work over cores or machines: the seam, and what stands behind it.

Belongs here: which engine a setting names. Does not: what the engines share (interface.py), each of them (local.py,
ray.py), and any work.
"""

from typing import Literal

from cry_pipeline.engine.interface import Engine, EngineError, WorkerDiedError
from cry_pipeline.engine.local import Local

__all__ = ["Engine", "EngineError", "EngineName", "Local", "WorkerDiedError", "engine_of"]

EngineName = Literal["local", "ray"]


def engine_of(name: EngineName, workers: int) -> Engine:
    """Return the engine that is called ``name``; nothing is started before it is given work.

    Args:
        name: as the setting ``CRY_PIPELINE_ENGINE`` has it.
        workers: how many work on this machine, where it is this machine that works.
    """
    if name == "ray":
        from cry_pipeline.engine.ray import Ray

        return Ray(workers)
    return Local(workers)
