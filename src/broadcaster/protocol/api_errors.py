"""What the HTTP API refuses, with the status that says so."""

from __future__ import annotations

__all__ = ["ApiError"]


class ApiError(Exception):
    """A refusal: the HTTP *status*, and a sentence that server SDKs show to their users.

    *allow* is the method that a route takes, where the request had another one.
    """

    def __init__(self, status: int, message: str, *, allow: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.allow = status, message, allow
