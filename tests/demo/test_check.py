from __future__ import annotations

import io
from http.client import HTTPConnection
from typing import Any

import pytest
from rich.console import Console

from broadcaster.demo.check import check


def checked(encoding: str = "utf-8") -> tuple[bool, list[str]]:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding, write_through=True) as text:
        passed = check(Console(file=text, soft_wrap=True, highlight=False))
        return passed, raw.getvalue().decode(encoding).splitlines()


def test_the_whole_way_is_made_and_told_step_by_step() -> None:
    passed, lines = checked()

    assert passed
    assert [line[0] for line in lines] == ["\u2713"] * 10
    assert all(" ms" in line for line in lines)
    told = "\n".join(lines)
    assert all(step in told for step in ("wrong signature", "POST /say", "MessageSent", "left out"))
    assert "everything works" in lines[-1]


def test_what_fails_is_named_with_the_reason_and_ends_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise ConnectionRefusedError("nobody is [bold]there")

    monkeypatch.setattr(HTTPConnection, "request", refuse)

    passed, lines = checked()

    assert not passed
    assert lines[-2].startswith("\u2717 ask /broadcasting/auth for a channel that has no rule")
    assert lines[-1] == "    nobody is [bold]there"


def test_an_unexpected_answer_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    request = HTTPConnection.request

    def elsewhere(self: HTTPConnection, method: str, url: str, *more: Any) -> None:
        request(self, method, "/nothing" if url == "/say" else url, *more)

    monkeypatch.setattr(HTTPConnection, "request", elsewhere)

    passed, lines = checked()

    assert not passed
    assert lines[-2].startswith("\u2717 POST /say")
    assert "answered 404, not 200" in lines[-1]


def test_a_proxy_in_the_environment_does_not_come_between(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ws_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    passed, _ = checked()

    assert passed


def test_a_terminal_without_check_marks_gets_letters() -> None:
    passed, lines = checked("ascii")

    assert passed
    assert all(line.startswith("ok ") for line in lines)
