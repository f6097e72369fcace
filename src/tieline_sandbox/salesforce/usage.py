"""The org's allowance of API calls over 24 hours, as shown in `Sforce-Limit-Info`."""

from __future__ import annotations

from datetime import timedelta

from tieline_sandbox.kernel.world import World

DEFAULT_ALLOWED = 100_000


class Usage:
    """Counts calls; 24 hours of the world's clock after the first one the count starts anew."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.allowed = DEFAULT_ALLOWED
        self.used = 0
        self._since = world.now()

    def spend(self) -> bool:
        """Count one call; False when the allowance was spent before it."""
        if self._world.now() - self._since >= timedelta(hours=24):
            self.used, self._since = 0, self._world.now()
        if self.used >= self.allowed:
            return False
        self.used += 1
        return True

    def header(self) -> str:
        return f"api-usage={self.used}/{self.allowed}"
