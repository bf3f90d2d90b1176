"""All of a feature set's values in one pass over a recording, on a CPU: what extraction computes with where it can.

Belongs here: whether there is such a pass, and where its compiled form is kept. Does not: the values' meaning
(features/transforms.py and pooling.py are the reference that it is held to).
"""

import logging
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from cry_pipeline.catalog import FeatureSetSpec
from cry_pipeline.digests import sha256_of
from cry_pipeline.settings import Settings

if TYPE_CHECKING:
    from cry_pipeline.features.kernel.transform import FusedTransform

LOG = logging.getLogger(__name__)


def fused_transform(spec: FeatureSetSpec) -> "FusedTransform | None":
    """Return the feature set's pass, compiled; None, with the reason in the log, where there is none.

    That is so where numba cannot compile here, and for an ``n_fft`` with a prime factor above 5.
    """
    try:
        from numba import __version__ as version
        from numba.core import config
        from numba.core.errors import NumbaError
    except ImportError as error:
        _say_once(f"numba cannot be imported ({error})")
        return None
    if not getattr(config, "CACHE_DIR", ""):  # NUMBA_CACHE_DIR, where set, says another place
        setattr(config, "CACHE_DIR", str(_folder()))  # noqa: B010 - pyright knows of no such name
    from cry_pipeline.features.kernel.fourier import factored
    from cry_pipeline.features.kernel.transform import FusedTransform

    if factored(spec.n_fft) is None:
        _say_once(f"n_fft {spec.n_fft} has a prime factor above 5")
        return None
    try:
        return FusedTransform(spec)
    except NumbaError as error:
        _say_once(f"numba {version} cannot compile for this machine ({error})")
        return None


def sources_digest() -> str:
    """Return the digest of this package's sources; numba itself asks when one of them was changed, and not the others.

    Returns:
        16 hex digits.
    """
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return sha256_of(b"".join(source.read_bytes() for source in sources))[:16]


def _folder() -> Path:
    folder = Settings().cache / "kernel" / sources_digest()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def _say_once(why: str) -> None:
    LOG.warning("features are computed by torch, which takes two to three times as long: %s", why)
