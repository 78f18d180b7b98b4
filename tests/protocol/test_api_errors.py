from __future__ import annotations

from broadcaster.protocol.api_errors import ApiError


def test_a_refusal_carries_its_status_and_its_sentence() -> None:
    error = ApiError(413, "too large")

    assert (error.status, error.message, str(error)) == (413, "too large", "too large")
