"""The demo's page in Chromium, and the client that it uses."""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .children import Child
from .players import Player, chromium

# One demo for all of them, however many processes run tests.
pytestmark = pytest.mark.xdist_group("demo")

START = 60.0
STORY = 240.0


class Browser:
    """Chromium in front of the demo; one story at a time."""

    def __init__(self, executable: str, *, url: str, port: int) -> None:
        self._where = {"url": url, "port": port}
        self._player = Player("demo.mjs", executable)

    def play(self, story: str, **details: Any) -> None:
        """Play *story*; fail with what went wrong."""
        if failure := self._player.play({"story": story, **self._where, **details}, seconds=STORY):
            pytest.fail(f"{story}: {failure}", pytrace=False)

    def close(self) -> None:
        """Let Chromium end by itself."""
        self._player.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    demo = Child(sys.executable, "-m", "broadcaster", "demo", "--port=0", "--server-port=0", "--no-browser")
    try:
        url = demo.hear(r"http://127\.0\.0\.1:\d+/", seconds=START)[0]
        port = int(demo.hear(r"server is on port (\d+)", seconds=START)[1])
        browser = Browser(chromium(), url=url, port=port)
        yield browser
        browser.close()
    finally:
        exit_code = demo.end(signal.SIGINT)
    assert exit_code == 0


def test_what_is_typed_in_one_window_appears_in_the_other_and_not_twice_in_its_own(browser: Browser) -> None:
    browser.play("typing")


def test_the_list_of_people_follows_who_joins_and_leaves(browser: Browser) -> None:
    browser.play("presence")


def test_the_button_opens_a_window_of_another_user(browser: Browser) -> None:
    browser.play("second_window")


def test_markup_is_shown_as_the_text_it_is(browser: Browser) -> None:
    browser.play("markup")


def test_the_page_asks_nobody_but_the_demo(browser: Browser) -> None:
    browser.play("alone")


def test_no_width_of_the_window_makes_the_page_scroll_sideways(browser: Browser) -> None:
    browser.play("widths")


def test_two_windows_make_a_picture(browser: Browser, tmp_path: Path) -> None:
    """`BROADCASTER_DEMO_PICTURE=docs/images/demo.png` keeps it."""
    picture = Path(os.environ.get("BROADCASTER_DEMO_PICTURE", tmp_path / "demo.png")).absolute()

    browser.play("picture", picture=str(picture))

    assert re.match(rb"\x89PNG\r\n", picture.read_bytes())


def test_a_client_that_is_told_to_stay_away_does_so(browser: Browser) -> None:
    browser.play("stays_away")


def test_a_client_whose_server_restarts_comes_back_at_once(browser: Browser) -> None:
    browser.play("comes_back_at_once")


@pytest.mark.parametrize("code", [1011, 4100, 4200])
def test_a_client_that_is_not_let_in_waits_a_second_and_ever_longer(browser: Browser, code: int) -> None:
    browser.play("backs_off", code=code)


def test_a_client_asks_a_silent_server_whether_it_lives_and_then_looks_for_it_again(browser: Browser) -> None:
    browser.play("asks_a_silent_server")


def test_a_client_subscribes_again_after_it_came_back(browser: Browser) -> None:
    browser.play("subscribes_again")
