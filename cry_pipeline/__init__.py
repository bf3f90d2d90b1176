"""Offline feature store and training batch pipeline for infant-cry audio.

``cry_pipeline.predict(path)`` asks the champion about one recording, ``predict_many(paths)`` about many.
"""

import logging
from typing import TYPE_CHECKING, Any

from cry_pipeline.quoting import Quoted
from cry_pipeline.version import __version__

if TYPE_CHECKING:
    from cry_pipeline.inference.predict import predict, predict_many

logging.getLogger(__name__).addFilter(Quoted())  # every module logs to this one, whoever writes it down

__all__ = ["__version__", "predict", "predict_many"]


def __getattr__(name: str) -> Any:
    """Import prediction only when it is asked for: whoever only wants the version does not wait for it."""
    if name in ("predict", "predict_many"):
        from cry_pipeline.inference import predict as module

        return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
