"""Who may connect to an application, and how many may."""

from __future__ import annotations

from collections import Counter

from broadcaster.protocol.app import App
from broadcaster.protocol.codes import Code
from broadcaster.protocol.handshake import Refusal, Visit, unsupported_protocol
from broadcaster.protocol.origins import Origins

__all__ = ["Door"]


class Door:
    """Counts who is inside, by address, and refuses whom an application does not want."""

    def __init__(self, app: App) -> None:
        self._inside: Counter[str] = Counter()
        self.update(app)

    def update(self, app: App) -> None:
        """Go on by the rules of *app*; who is inside stays there."""
        self._app = app
        self._origins = Origins(app.origins)

    def refusal(self, visit: Visit) -> Refusal | None:
        """Return why *visit* may not come in, or None."""
        if not self._app.enabled:
            return Refusal(Code.APP_DISABLED, "The application is disabled")
        if (refusal := unsupported_protocol(visit.params)) is not None:
            return refusal
        if not self._origins.allow(visit.origin):
            return Refusal(Code.UNAUTHORIZED, f"Pages of {(visit.origin or '')[:100]!r} may not connect")
        limits = self._app.limits
        if 0 < limits.connections <= self._inside.total():
            return Refusal(Code.OVER_QUOTA, f"The application has {limits.connections} connections already")
        if 0 < limits.connections_per_address <= self._inside[visit.address]:
            # Come back later: closing another tab may be enough.
            most = limits.connections_per_address
            return Refusal(Code.BACK_OFF, f"There are {most} connections from your address already")
        return None

    def entered(self, address: str) -> None:
        """Count one more."""
        self._inside[address] += 1

    def left(self, address: str) -> None:
        """Count one less."""
        self._inside[address] -= 1
        if not self._inside[address]:
            del self._inside[address]

    def clear(self) -> None:
        """Forget everybody."""
        self._inside.clear()
