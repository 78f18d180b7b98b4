"""One rule: what it takes, and what its verdict comes to."""

from __future__ import annotations

from typing import Any

import pytest

from broadcaster import ConfigurationError, Forbidden, Grant, Member
from broadcaster.channels import kind_of
from broadcaster.rules.calls import run
from broadcaster.rules.rule import Rule


def verdict_of(rule: Rule, channel: str) -> Grant:
    kind = kind_of(channel)
    found = rule.pattern.match(channel.removeprefix(kind.value))
    assert found is not None
    return run(rule.ask("ann", channel, kind, found, rule.readers({})))


def saying(verdict: object) -> Rule:
    def rule(user: object) -> object:
        return verdict

    return Rule.of("room", rule)


@pytest.mark.parametrize("prefix", ["private-", "private-encrypted-"])
def test_true_opens_a_private_channel(prefix: str) -> None:
    assert verdict_of(saying(verdict=True), prefix + "room") == Grant(prefix + "room")


def test_a_member_joins_a_presence_channel() -> None:
    assert verdict_of(saying(Member(7)), "presence-room") == Grant("presence-room", Member("7"))


def test_who_may_be_on_a_presence_channel_may_hear_the_private_one_of_that_name() -> None:
    assert verdict_of(saying(Member(7)), "private-room") == Grant("private-room")


def test_true_does_not_open_a_presence_channel() -> None:
    with pytest.raises(
        Forbidden, match=r"returned True; on a presence channel it says who: Member\(id, info\)"
    ):
        verdict_of(saying(verdict=True), "presence-room")


@pytest.mark.parametrize("channel", ["private-room", "presence-room", "private-encrypted-room"])
@pytest.mark.parametrize("verdict", [None, False])
def test_none_and_false_refuse(verdict: object, channel: str) -> None:
    with pytest.raises(Forbidden, match=r"rule 'saying\.<locals>\.rule' says no") as caught:
        verdict_of(saying(verdict), channel)

    assert caught.value.channel == channel


@pytest.mark.parametrize("channel", ["private-room", "presence-room"])
@pytest.mark.parametrize("verdict", [1, 0, "", "yes", [], {"id": 7}, object()])
def test_any_other_verdict_is_a_mistake_of_the_rule(verdict: object, channel: str) -> None:
    with pytest.raises(TypeError, match="return True, False or None, or a Member on a presence channel"):
        verdict_of(saying(verdict), channel)


def test_a_class_is_made_anew_for_each_question() -> None:
    class Room:
        def __init__(self) -> None:
            self.asked = 0

        def join(self, user: object, number: int) -> bool:
            self.asked += 1
            return self.asked == 1 and number == 7

    rule = Rule.of("rooms.{number}", Room)

    assert [verdict_of(rule, "private-rooms.7").channel for _ in range(2)] == ["private-rooms.7"] * 2


def test_an_instance_with_join_decides_with_what_it_holds() -> None:
    class Room:
        def __init__(self, number: int) -> None:
            self.number = number

        def join(self, user: object, number: int) -> bool:
            return number == self.number

    assert verdict_of(Rule.of("rooms.{number}", Room(7)), "private-rooms.7") == Grant("private-rooms.7")


def test_a_rule_takes_the_placeholders_that_it_names_and_no_others() -> None:
    def rule(user: object, *, second: str, third: str = "unset") -> Member:
        return Member(user, {"second": second, "third": third})

    grant = verdict_of(Rule.of("{first}.{second}", rule), "presence-a.b")

    assert grant.member == Member("ann", {"second": "b", "third": "unset"})


def test_what_a_rule_raises_is_left_alone() -> None:
    def rule(user: object) -> bool:
        raise LookupError("the database is away")

    with pytest.raises(LookupError):
        verdict_of(Rule.of("room", rule), "private-room")


def test_a_value_that_does_not_convert_refuses() -> None:
    def rule(user: object, number: int) -> bool:
        return True

    with pytest.raises(Forbidden, match="number 'seven' is nothing that is known"):
        verdict_of(Rule.of("rooms.{number}", rule), "private-rooms.seven")


class Needy:
    def __init__(self, database: object) -> None: ...

    def join(self, user: object) -> bool:
        return True


@pytest.mark.parametrize(
    ("decide", "why"),
    [
        (7, "a rule is a function or a class with join()"),
        ("rule", "a rule is a function or a class with join()"),
        (lambda: True, "must take the user first"),
        (lambda *, user: True, "must take the user first"),
        (
            lambda user, numbr: True,
            "takes 'numbr', which the pattern 'rooms.{number}' does not have, did you mean",
        ),
        (Needy, "takes arguments: register an instance of it instead"),
    ],
)
def test_what_can_be_no_rule_is_told(decide: Any, why: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Rule.of("rooms.{number}", decide)

    assert why in str(caught.value)
