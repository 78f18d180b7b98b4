from __future__ import annotations

import subprocess
import sys

import pytest

import broadcaster.contrib.django as home
from broadcaster import AnonymousEvent, BroadcastManager, ConfigurationError
from broadcaster.contrib.django.manager import manager_of


def test_there_is_one_manager_and_the_setting_describes_it() -> None:
    from broadcaster.contrib.django import broadcast

    assert isinstance(broadcast, BroadcastManager)
    assert broadcast is home.broadcast
    assert broadcast.default == "null"


def test_the_package_has_nothing_else() -> None:
    with pytest.raises(AttributeError, match="no attribute 'manager_'"):
        home.manager_  # noqa: B018


def test_without_a_setting_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROADCAST_DRIVER", "null")

    assert manager_of(None).default == "null"


@pytest.mark.parametrize(
    "content", [{"drivers": {"pusher": {}}, "driver": "pusher"}, "pusher", {"drivr": "log"}]
)
def test_a_wrong_setting_is_told_when_something_is_sent(content: dict[str, object]) -> None:
    broadcast = manager_of(content)
    broadcast.channel("rooms.{room}")(lambda user, room: True)

    for use in (
        lambda: broadcast.send(AnonymousEvent("a", on="b")),
        lambda: broadcast.authorize("ann", "private-rooms.a", socket_id="1.2"),
    ):
        with pytest.raises(ConfigurationError, match="BROADCASTING: "):
            use()


PROGRAM = """
from django.conf import settings

settings.configure(INSTALLED_APPS=["broadcaster.contrib.django"], BROADCASTING={"driver": "told"})

import django

django.setup()

from broadcaster import AnonymousEvent
from broadcaster.contrib.django import broadcast
from broadcaster.drivers.null import NullDriver


class Told(NullDriver):
    def close(self):
        print("closed")


broadcast.extend("told", Told)
broadcast.send(AnonymousEvent("a", on="b"))
print("sent")
"""


def test_it_is_closed_when_the_process_ends() -> None:
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=120, check=False
    )

    assert (result.stdout.split(), result.stderr) == (["sent", "closed"], "")
