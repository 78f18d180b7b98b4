"""The rules of an application: which of them decides, and what nobody decides."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from broadcaster import (
    ChannelRules,
    ConfigurationError,
    Forbidden,
    Grant,
    InvalidChannelName,
    Member,
    SignIn,
)
from broadcaster.rules.calls import run


class Order:
    def __init__(self, number: int) -> None:
        self.number = number


def allow(user: object) -> bool:
    return True


def rules_for(*patterns: str) -> ChannelRules:
    rules = ChannelRules()
    for pattern in patterns:
        rules.channel(pattern)(allow)
    return rules


def may(rules: ChannelRules, channel: str, user: object = "ann") -> bool:
    try:
        return run(rules.ask(user, channel)).channel == channel
    except Forbidden:
        return False


# Laravel's matrix of names, without those whose braces no channel's name may hold.
BARE = [
    "test",
    "test-channel",
    "test-private-channel",
    "test-presence-channel",
    "abcd.efgh",
    "abcd.efgh.ijkl",
]


@pytest.mark.parametrize("name", BARE)
@pytest.mark.parametrize("prefix", ["private-", "private-encrypted-"])
def test_a_rule_is_asked_about_the_name_without_its_prefix(prefix: str, name: str) -> None:
    assert may(rules_for(name), prefix + name)


@pytest.mark.parametrize("name", [*BARE, "public-test"])
def test_a_public_channel_takes_nobodys_leave(name: str) -> None:
    assert not may(rules_for(name), name)


@pytest.mark.parametrize(
    ("channel", "asked"),
    [
        ("private-private-test", "private-test"),
        ("private-presence-test", "presence-test"),
        ("presence-private-test", "private-test"),
        ("presence-presence-test", "presence-test"),
        ("private-encrypted-private-123", "private-123"),
        ("private-encryptedx", "encryptedx"),
    ],
)
def test_one_prefix_is_taken_off_and_no_more(channel: str, asked: str) -> None:
    seen = []
    rules = ChannelRules()

    @rules.channel("{name}")
    def rule(user: object, name: str) -> Member:
        seen.append(name)
        return Member(user)

    assert may(rules, channel)
    assert seen == [asked]


@pytest.mark.parametrize("channel", ["private-test", "presence-test", "private-encrypted-test"])
def test_nobody_joins_a_guarded_channel(channel: str) -> None:
    assert not may(rules_for("test"), channel, user=None)


def test_what_no_rule_matches_is_refused_and_logged_with_the_patterns(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rules = rules_for("orders.{id}", "rooms.{id}")

    with caplog.at_level(logging.WARNING, "broadcaster.rules"), pytest.raises(Forbidden):
        run(rules.ask("ann", "private-order.7"))

    assert caplog.messages == [
        (
            "not allowed to join 'private-order.7': "
            "no rule matches 'order.7'; there are 'orders.{id}', 'rooms.{id}'"
        )
    ]


def test_the_log_names_ten_patterns_at_most(caplog: pytest.LogCaptureFixture) -> None:
    rules = rules_for(*(f"room-{number}" for number in range(12)))

    with pytest.raises(Forbidden):
        run(rules.ask("ann", "private-x"))

    assert caplog.messages[0].endswith("'room-9' and 2 more")


def test_without_rules_everything_is_refused() -> None:
    with pytest.raises(Forbidden, match="no rule matches 'x'; there are none"):
        run(ChannelRules().ask("ann", "private-x"))


def test_the_first_rule_that_matches_decides_alone() -> None:
    rules = ChannelRules()
    rules.channel("orders.latest")(lambda user: False)
    rules.channel("orders.{id}")(allow)

    assert not may(rules, "private-orders.latest")
    assert may(rules, "private-orders.7")
    assert rules.patterns == ["orders.latest", "orders.{id}"]


@pytest.mark.parametrize(
    ("later", "why"),
    [
        ("orders.{number}", "is never reached: the names it matches are taken by 'orders.{id}'"),
        ("orders.latest", "so register it before that one"),
        ("{kind}.7", "is ambiguous: some names match 'orders.{id}' of rule 'allow' too"),
    ],
)
def test_rules_that_one_name_could_mean_are_told(later: str, why: str) -> None:
    rules = rules_for("orders.{id}")

    with pytest.raises(ConfigurationError) as caught:
        rules.channel(later)(allow)

    assert why in str(caught.value)
    assert rules.patterns == ["orders.{id}"]


def test_the_decorator_leaves_the_function_as_it_was() -> None:
    assert ChannelRules().channel("x")(allow) is allow


def test_rules_of_a_feature_are_included_with_a_prefix_and_those_that_come_later_too() -> None:
    feature, middle, rules = rules_for("orders.{id}"), ChannelRules(), ChannelRules()
    rules.include(middle, prefix="tenants.{tenant}.")
    middle.include(feature, prefix="shop.")

    feature.channel("carts.{id}")(allow)

    assert rules.patterns == ["tenants.{tenant}.shop.orders.{id}", "tenants.{tenant}.shop.carts.{id}"]
    assert may(rules, "private-tenants.acme.shop.carts.7")


def test_a_conflict_that_a_feature_makes_is_told_and_leaves_nothing_behind() -> None:
    feature, rules = ChannelRules(), rules_for("shop.{anything}")
    rules.include(feature, prefix="shop.")

    with pytest.raises(ConfigurationError, match="is never reached"):
        feature.channel("orders")(allow)

    assert (feature.patterns, rules.patterns) == ([], ["shop.{anything}"])


def test_rules_cannot_include_themselves() -> None:
    outer, inner = ChannelRules(), ChannelRules()
    outer.include(inner)

    for first, second in [(outer, outer), (inner, outer)]:
        with pytest.raises(ConfigurationError, match="rules cannot include themselves"):
            first.include(second)


def test_a_resolver_may_come_after_the_rule_that_needs_it() -> None:
    rules = ChannelRules()

    @rules.channel("orders.{order}")
    def rule(user: object, order: Order) -> bool:
        return order.number == 7

    with pytest.raises(ConfigurationError, match=r"rule .* for 'orders\.{order}': nothing turns a part"):
        rules.check()

    @rules.resolver(Order)
    def find(number: int) -> Order | None:
        return Order(number) if number < 100 else None

    rules.check()
    assert may(rules, "private-orders.7")
    assert not may(rules, "private-orders.8")
    assert not may(rules, "private-orders.100")


def test_the_resolvers_of_a_feature_serve_the_whole_application() -> None:
    feature, rules = ChannelRules(), ChannelRules()
    feature.resolver(Order)(lambda number: Order(int(number)))
    rules.include(feature)

    @rules.channel("orders.{order}")
    def rule(user: object, order: Order) -> bool:
        return order.number == 7

    assert may(rules, "private-orders.7")


def test_two_resolvers_for_one_class_are_told() -> None:
    rules = ChannelRules()
    rules.resolver(Order)(lambda number: Order(int(number)))

    with pytest.raises(ConfigurationError, match="two resolvers are registered for Order"):
        rules.resolver(Order)(lambda number: Order(int(number)))


# Signing in.


def test_a_function_says_who_somebody_is() -> None:
    rules = ChannelRules()

    @rules.sign_in
    def who(user: object) -> SignIn | None:
        return SignIn(user, {"name": "Ann"}, watchlist=[1, 2]) if user == "ann" else None

    assert run(rules.ask_sign_in("ann")) == SignIn("ann", {"name": "Ann"}, watchlist=("1", "2"))
    with pytest.raises(Forbidden, match="says no"):
        run(rules.ask_sign_in("bob"))


@pytest.mark.parametrize(
    ("user", "why"), [(None, "nobody is signed in"), ("ann", "no function is registered")]
)
def test_without_a_user_or_a_function_nobody_is_signed_in(user: object, why: str) -> None:
    with pytest.raises(Forbidden, match=why) as caught:
        run(ChannelRules().ask_sign_in(user))

    assert caught.value.channel is None


def test_what_is_not_a_sign_in_is_a_mistake_of_the_function() -> None:
    rules = ChannelRules()
    rules.sign_in(lambda user: {"id": user})

    with pytest.raises(TypeError, match="returned 'dict'; return a SignIn, or None to refuse"):
        run(rules.ask_sign_in("ann"))


def test_one_function_signs_in_for_all_features() -> None:
    feature, rules = ChannelRules(), ChannelRules()
    rules.include(feature)
    feature.sign_in(SignIn)

    assert run(rules.ask_sign_in("ann")) == SignIn("ann")
    with pytest.raises(ConfigurationError, match="registered already"):
        rules.sign_in(SignIn)


# Hostile names.

HOSTILE = st.one_of(
    st.text(max_size=250),
    st.text(alphabet="-.private_encrypted=@,;{}[]()*+?^$|\\#", max_size=250),
    st.sampled_from(["orders.7.8", "orders.7\n", "orders.{order_id}", "orders.", "orders.%37", "x" * 10_000]),
)
PREFIX = st.sampled_from(["", "private-", "presence-", "private-encrypted-", "Private-", "#server-to-user-"])


@settings(max_examples=500)
@given(PREFIX, HOSTILE)
def test_whatever_is_asked_for_is_granted_only_where_a_rule_says_so(prefix: str, name: str) -> None:
    rules = ChannelRules()

    @rules.channel("orders.{order_id}")
    def rule(user: object, order_id: int) -> bool:
        return order_id == 7

    try:
        granted = run(rules.ask("ann", prefix + name))
    except (Forbidden, InvalidChannelName):
        return
    assert granted in {Grant("private-orders.7"), Grant("private-encrypted-orders.7")}


@settings(max_examples=300)
@given(HOSTILE)
def test_whatever_is_registered_is_a_pattern_or_told(text: str) -> None:
    rules = ChannelRules()

    with suppress(ConfigurationError):
        rules.channel(text)(allow)

    assert rules.patterns in ([], [text])
