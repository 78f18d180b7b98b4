"""The HTTP client of webhooks."""

from __future__ import annotations

from collections.abc import Mapping

from broadcaster.errors import MissingExtra

try:
    import aiohttp
except ImportError as error:
    raise MissingExtra("aiohttp", extra="http") from error

__all__ = ["Poster"]

_SECONDS = 10.0


class Poster:
    """Posts to any number of addresses; an answer may take ten seconds."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> str | None:
        """Post *body*; return None for a 2xx status, or what came instead. Redirects are not followed."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=_SECONDS), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return None if 200 <= response.status < 300 else f"status {response.status}"
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            # Not the text of the error: it may show the address, with a password in it.
            return f"no answer ({type(error).__name__})"

    async def aclose(self) -> None:
        """Close every connection."""
        if self._session is not None:
            await self._session.close()
            self._session = None
