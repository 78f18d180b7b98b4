"""Laravel's BroadcasterTest: rules, what they take, and whom they know."""

from __future__ import annotations

import json
from typing import Any

import pytest

from broadcaster import BroadcastManager, ConfigurationError, Forbidden, SignIn
from broadcaster.auth_requests import AuthRequest
from tests.laravel.asking import REFUSED, ask


class Article:
    """A model that finds itself."""

    def __init__(self, key: object) -> None:
        self.key = key

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Article) and self.key == other.key

    __hash__ = None  # type: ignore[assignment]

    @classmethod
    def from_channel(cls, key: str) -> Article | None:
        return cls(key) if key != "gone" else None


@pytest.fixture
def broadcast() -> BroadcastManager:
    return BroadcastManager()


def join(broadcast: BroadcastManager, channel: str, user: object = "ann") -> tuple[int, Any]:
    return ask(broadcast, channel, user, socket_id="1.2")


# What a rule takes.


def test_a_rule_takes_the_model_that_its_annotation_names_and_the_text_of_the_rest(
    broadcast: BroadcastManager,
) -> None:
    taken = []

    @broadcast.channel("asd.{model}.{text}")
    def rule(user: object, model: Article, text: str) -> bool:
        taken.append((model, text))
        return True

    assert join(broadcast, "private-asd.1.something")[0] == 200
    assert taken == [(Article("1"), "something")]


def test_a_rule_takes_several_models(broadcast: BroadcastManager) -> None:
    taken = []

    @broadcast.channel("asd.{model}.{model2}.{text}")
    def rule(user: object, model: Article, model2: Article, text: str) -> bool:
        taken.append((model, model2, text))
        return True

    assert join(broadcast, "private-asd.1.uid.something")[0] == 200
    assert taken == [(Article("1"), Article("uid"), "something")]


def test_a_pattern_without_placeholders_gives_the_rule_the_user_alone(broadcast: BroadcastManager) -> None:
    taken = []

    @broadcast.channel("asd")
    def rule(*given: object) -> bool:
        taken.append(given)
        return True

    assert join(broadcast, "private-asd")[0] == 200
    assert taken == [("ann",)]


def test_a_parameter_that_no_placeholder_fills_is_told_at_registration(broadcast: BroadcastManager) -> None:
    def rule(user: object, something: str) -> bool:
        return bool(something)

    with pytest.raises(ConfigurationError, match="takes 'something', which the pattern 'asd' does not have"):
        broadcast.channel("asd")(rule)


def test_an_explicit_resolver_decides_what_the_rule_gets(broadcast: BroadcastManager) -> None:
    taken = []

    @broadcast.rules.resolver(Article)
    def bound(key: str) -> Article:
        return Article("bound")

    @broadcast.channel("something.{model}")
    def rule(user: object, model: Article) -> bool:
        taken.append(model)
        return True

    assert join(broadcast, "private-something.1")[0] == 200
    assert taken == [Article("bound")]


def test_a_class_with_join_takes_what_a_function_takes(broadcast: BroadcastManager) -> None:
    taken = []

    @broadcast.channel("asd.{model}.{text}")
    class Rule:
        def join(self, user: object, model: Article, text: str) -> bool:
            taken.append((user, model, text))
            return True

    assert join(broadcast, "private-asd.1.something")[0] == 200
    assert taken == [("ann", Article("1"), "something")]


def test_a_resolver_finds_a_model_by_its_own_key(broadcast: BroadcastManager) -> None:
    shelf, taken = {"first-words": Article(1)}, []
    broadcast.rules.resolver(Article)(shelf.get)

    @broadcast.channel("something.{model}")
    def rule(user: object, model: Article) -> bool:
        taken.append(model)
        return True

    assert join(broadcast, "private-something.first-words")[0] == 200
    assert join(broadcast, "private-something.last-words") == REFUSED
    assert taken == [Article(1)]


def test_what_can_be_no_rule_is_told(broadcast: BroadcastManager) -> None:
    with pytest.raises(ConfigurationError, match=r"a rule is a function or a class with join\(\), not 123"):
        broadcast.channel("something")(123)  # type: ignore[type-var]


def test_functions_and_classes_are_registered_alike(broadcast: BroadcastManager) -> None:
    broadcast.channel("something")(lambda user: True)

    @broadcast.channel("somethingelse")
    class Rule:
        def join(self, user: object) -> bool:
            return True

    assert join(broadcast, "private-something")[0] == 200
    assert join(broadcast, "private-somethingelse")[0] == 200


def test_a_model_that_is_not_found_is_403(broadcast: BroadcastManager) -> None:
    @broadcast.channel("asd.{model}")
    def rule(user: object, model: Article) -> bool:
        return True

    assert join(broadcast, "private-asd.gone") == REFUSED


# Whom a rule is asked about.


def test_the_rule_gets_the_user_that_the_caller_found(broadcast: BroadcastManager) -> None:
    found, asked = object(), []

    @broadcast.channel("something")
    def rule(user: object) -> bool:
        asked.append(user)
        return True

    broadcast.authorize(found, "private-something", socket_id="1.2")

    assert asked == [found]


def signing_in(broadcast: BroadcastManager) -> tuple[int, Any]:
    answer = broadcast.answer(AuthRequest(body=b"socket_id=1234.1234"), "ann", sign_in=True)
    return answer.status, json.loads(answer.body)


def test_who_somebody_is_says_the_function_for_signing_in(broadcast: BroadcastManager) -> None:
    broadcast.rules.sign_in(lambda user: SignIn("12345"))

    assert signing_in(broadcast) == (200, {"auth": "", "user_data": '{"id":"12345"}'})


def test_somebody_of_whom_the_function_says_nothing_is_refused(broadcast: BroadcastManager) -> None:
    broadcast.rules.sign_in(lambda user: None)

    assert signing_in(broadcast) == (403, {"error": "not allowed to sign in"})


def test_without_a_function_for_signing_in_everybody_is_refused(broadcast: BroadcastManager) -> None:
    assert signing_in(broadcast) == (403, {"error": "not allowed to sign in"})


# Which names a pattern matches. Laravel's rows have colons, which no channel's name may hold.


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("something", "something"),
        ("something.23", "something.{id}"),
        ("something.23.test", "something.{id}.test"),
        ("something.23.test.42", "something.{id}.test.{id2}"),
        ("something-23;test-42", "something-{id};test-{id2}"),
        ("23;string;test", "{id};string;{text}"),
    ],
)
def test_a_name_matches_its_pattern(broadcast: BroadcastManager, name: str, pattern: str) -> None:
    broadcast.channel(pattern)(lambda user: True)

    assert join(broadcast, f"private-{name}")[0] == 200


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("something..test.42", "something.{id}.test.{id2}"),
        ("something.23", "something"),
        ("something.23.test.42", "something.test.{id}"),
        ("something-23-test-42", "something-{id}-test"),
        ("23;test", "{id};test;abcd"),
        ("customer.order.1", "order.{id}"),
        ("customerorder.1", "order.{id}"),
    ],
)
def test_another_name_does_not_match(broadcast: BroadcastManager, name: str, pattern: str) -> None:
    broadcast.channel(pattern)(lambda user: True)

    with pytest.raises(Forbidden, match=f"no rule matches '{name}'"):
        broadcast.authorize("ann", f"private-{name}", socket_id="1.2")
