"""Whether an HTTP API request is signed by the application it speaks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from broadcaster.protocol.api_errors import ApiError
from broadcaster.signing import Credentials, body_digest

__all__ = ["WINDOW", "check_signature"]

WINDOW = 600
"""How many seconds the time of a request may be off."""


def check_signature(
    keyring: Mapping[str, Credentials],
    method: str,
    path: str,
    query: Sequence[tuple[str, str]],
    body: bytes,
    *,
    now: float,
) -> None:
    """Raise `ApiError` 401 unless the request is whole, fresh (within 600 seconds) and signed.

    *keyring* holds the pairs that may sign it, by their keys.
    """
    # Names are signed in lower case, so that they are one name in any case.
    params = {name.lower(): value for name, value in query}
    if len(params) != len(query):
        raise ApiError(401, "a query parameter is given twice")
    credentials = keyring.get(params.get("auth_key", ""))
    if credentials is None:
        raise ApiError(401, "auth_key is missing, or not this application's key")
    if params.get("auth_version") != "1.0":
        raise ApiError(401, "auth_version must be 1.0")
    _check_time(params.get("auth_timestamp", ""), now)
    _check_body(params.get("body_md5"), body)
    signature = params.pop("auth_signature", "")
    if credentials.matches(credentials.request_signature(method, path, params.items()), signature):
        return
    # SDKs sign a user id as it is, while their HTTP clients percent-encode it on the wire.
    if "%" in path and credentials.matches(
        credentials.request_signature(method, unquote(path), params.items()), signature
    ):
        return
    raise ApiError(401, f"invalid auth_signature for {method} {path}: check the secret and what was signed")


def _check_time(timestamp: str, now: float) -> None:
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12):
        raise ApiError(401, "auth_timestamp is not a Unix time in seconds")
    if abs(now - int(timestamp)) > WINDOW:
        raise ApiError(401, f"auth_timestamp is not within {WINDOW} s of the server's time, {int(now)}")


def _check_body(digest: str | None, body: bytes) -> None:
    # For an empty body the Python SDK sends the digest of nothing, the others send none at all.
    if digest is None and not body:
        return
    if digest is None or not Credentials.matches(body_digest(body), digest):
        raise ApiError(401, "body_md5 is not the MD5 of the body")
