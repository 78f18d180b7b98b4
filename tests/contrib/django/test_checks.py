from __future__ import annotations

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from broadcaster.contrib.django.checks import findings
from broadcaster.contrib.django.manager import manager_of

from .project import ECHO, USER


class Order:
    """What no resolver finds."""


def found(content: object, **changed: object) -> list[tuple[str, str]]:
    broadcast = manager_of(content)  # type: ignore[arg-type]
    with override_settings(**changed):
        return [(message.id, message.msg) for message in findings(broadcast)]


def test_a_project_that_works_has_nothing_to_be_told() -> None:
    call_command("check")

    assert found({"driver": "null"}) == []


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ({"driver": "pusher", "drivers": {"pusher": {"app_id": "1"}}}, "BROADCASTING: driver 'pusher': "),
        ({"driver": "redos"}, "no driver named 'redos', did you mean 'redis'?"),
        (["log"], "BROADCASTING: settings are a mapping, not list"),
    ],
)
def test_a_driver_that_cannot_be_made_is_told(content: object, what: str) -> None:
    [(number, message)] = found(content)

    assert number == "broadcaster.E001"
    assert message.startswith(what)


def test_a_rule_that_cannot_work_is_told() -> None:
    broadcast = manager_of({})

    @broadcast.channel("orders.{order}")
    def may_see(user: object, order: Order) -> bool:
        return True

    [message] = findings(broadcast)

    assert (message.id, "'orders.{order}'" in message.msg) == ("broadcaster.E002", True)


@pytest.mark.parametrize("middleware", [[], [USER], ["shop.no_such"]])
def test_a_missing_middleware_is_told_with_what_to_add(middleware: list[str]) -> None:
    [(number, _)] = found({}, MIDDLEWARE=middleware)

    assert number == "broadcaster.W001"


def test_django_tells_it_by_its_own_command() -> None:
    with (
        override_settings(MIDDLEWARE=[]),
        pytest.raises(CommandError, match=rf"broadcaster\.W001(.|\n)*HINT: Add '{ECHO}' to MIDDLEWARE"),
    ):
        call_command("check", fail_level="WARNING")
