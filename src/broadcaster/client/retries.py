"""How long to wait before the next try.

Close codes: <https://pusher.com/docs/channels/library_auth_reference/pusher-websockets-protocol/#error-codes>.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Retries"]

_FIRST, _LONGEST = 1.0, 30.0
_STABLE = 5.0


class Retries:
    """Waits longer each time, from one second to thirty; *dice* returns numbers from 0 to 1."""

    def __init__(self, dice: Callable[[], float]) -> None:
        self._dice = dice
        self._failures = 0

    def after(self, code: int | None, *, lasted: float) -> float:
        """Return the seconds to wait after a try that *lasted* so long and ended with *code*."""
        if lasted > _STABLE:
            self._failures = 0
        failures, self._failures = self._failures, self._failures + 1
        # "At once" holds for a connection that had worked, and for nobody twice in a row.
        if code is not None and 4200 <= code < 4300 and lasted and not failures:
            return 0.2 * self._dice()
        # Half of it is by chance, so that those who lost a server together do not come back together.
        return min(_FIRST * (1 << min(failures, 5)), _LONGEST) * (0.5 + 0.5 * self._dice())
