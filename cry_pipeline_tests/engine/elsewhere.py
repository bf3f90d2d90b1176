"""An engine that behaves as one of other machines, in this process: what it is given is packed, and done in any order.

For the everyday tests of whatever is handed to workers; a real Ray does the same in `make test-ray`.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cloudpickle


@dataclass(frozen=True)
class Elsewhere:
    """Each item is done twice, as one is whose worker was cut off and came back."""

    workers: int = 2
    shares_memory = False

    def size(self) -> int:
        return self.workers

    def map(self, function: Callable[[Any], Any], items: Sequence[Any], **_: Any) -> Iterator[tuple[Any, Any]]:
        packed = cloudpickle.dumps(function)
        for item in reversed(items):
            done = [cloudpickle.loads(packed)(cloudpickle.loads(cloudpickle.dumps(item))) for _ in range(2)]
            yield item, done[0]
