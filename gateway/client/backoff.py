"""How long to wait before the next attempt: exponential, with jitter, bounded.  Pure.

The first attempt comes almost at once, because most cuts are short and the listener's buffer is
shorter.  The jitter keeps the clients of a gateway that restarts from coming back all together.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field


@dataclass(slots=True)
class Backoff:
    """Pauses in seconds: up to ``first_s``, then 50–100 % of base·2ⁿ or ``longest_s``."""

    base_s: float = 0.1
    longest_s: float = 5.0
    first_s: float = 0.05
    random: random.Random = field(default_factory=random.Random)
    _attempts: int = 0

    def next(self) -> float:
        """The pause before the next attempt."""
        attempt = self._attempts
        self._attempts += 1
        if attempt == 0:
            return self.random.uniform(0.0, self.first_s)
        pause = min(self.longest_s, self.base_s * 2.0 ** min(attempt - 1, 30))
        return pause * self.random.uniform(0.5, 1.0)
