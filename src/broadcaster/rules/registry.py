"""The rules of an application, or of one of its features."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from broadcaster.channels import check_name, kind_of
from broadcaster.errors import ConfigurationError, Forbidden
from broadcaster.messages import SignIn
from broadcaster.rules.calls import Call, Steps
from broadcaster.rules.rule import Grant, Rule
from broadcaster.rules.values import Reader, taken_by

__all__ = ["ChannelRules"]

_MOST_NAMED = 10

_logger = logging.getLogger("broadcaster.rules")

F = TypeVar("F", bound=Callable[..., Any])


class ChannelRules:
    """Decides who may join which guarded channel, and who somebody is.

    What no rule allows is refused. A rule is asked about a name without its prefix, so the one for
    `orders.{order_id}` decides about `private-orders.7`, `presence-orders.7` and the encrypted one.
    """

    def __init__(self) -> None:
        self._rules: list[Rule] = []
        self._resolvers: dict[type, Callable[..., Any]] = {}
        self._sign_in: Callable[..., Any] | None = None
        self._included_in: list[tuple[ChannelRules, str]] = []
        self._readers: dict[str, dict[str, Reader]] = {}

    def channel(self, pattern: str) -> Callable[[F], F]:
        """Register the function or class beneath as the rule for the names that *pattern* matches.

        It is called with the user, and by name with what it wants of the placeholders, converted to what
        its annotations say: int, UUID, enum, date, `Literal`, a class that has a resolver or a
        `from_channel()` hook; text without one. On a private channel True lets the user in; on a presence
        channel a `Member` does, and True does not. False and None refuse.
        Raises `ConfigurationError` for a pattern that is none, for a rule that wants a placeholder that is
        not there, and where two rules could be meant by one name, unless the narrower one comes first.
        """

        def register(decide: F) -> F:
            self._add(Rule.of(pattern, decide))
            return decide

        return register

    def resolver(self, kind: type) -> Callable[[F], F]:
        """Register the function beneath as what finds a *kind* by what stands in a name.

        Its annotation says what it takes. It returns None for what is not there; then nobody may join.
        """

        def register(find: F) -> F:
            self._add_resolver(kind, find)
            return find

        return register

    def sign_in(self, decide: F) -> F:
        """Register the function that says who a user is: it returns a `SignIn`, or None to refuse."""
        if self._sign_in is not None:
            raise ConfigurationError("a function for signing in is registered already")
        if not taken_by(decide):
            raise ConfigurationError(f"a function for signing in takes the user, unlike {decide!r}")
        for parent, _ in self._included_in:
            parent.sign_in(decide)
        self._sign_in = decide
        return decide

    def include(self, rules: ChannelRules, *, prefix: str = "") -> None:
        """Take in the *rules* of a feature, those that are registered later too.

        *prefix* goes before each of their patterns as it stands: `"shop."` makes `shop.orders.{order_id}`.
        """
        if rules is self or any(parent is rules for parent in self._above()):
            raise ConfigurationError("rules cannot include themselves")
        for rule in rules._rules:
            self._add(rule.under(prefix))
        for kind, find in rules._resolvers.items():
            self._add_resolver(kind, find)
        if rules._sign_in is not None:
            self.sign_in(rules._sign_in)
        rules._included_in.append((self, prefix))

    def __iter__(self) -> Iterator[Rule]:
        """Go through the rules, in the order in which they are tried."""
        return iter(self._rules)

    @property
    def patterns(self) -> list[str]:
        """The patterns, in the order in which they are tried."""
        return [rule.pattern.text for rule in self._rules]

    def check(self) -> None:
        """Raise `ConfigurationError` where a rule takes something that nothing finds."""
        for rule in self._rules:
            rule.readers(self._resolvers)

    def ask(self, user: object, channel: str) -> Steps[Grant]:
        """Return the steps to the grant of *user*, None being nobody, for *channel*, by its whole name.

        They raise `Forbidden`, which is logged, or `InvalidChannelName`.
        """
        try:
            return (yield from self._ask(user, channel))
        except Forbidden as refused:
            _logger.warning("%s", refused)
            raise

    def ask_sign_in(self, user: object) -> Steps[SignIn]:
        """Return the steps to who *user* is; they raise `Forbidden`, which is logged."""
        try:
            return (yield from self._ask_sign_in(user))
        except Forbidden as refused:
            _logger.warning("%s", refused)
            raise

    def _ask(self, user: object, channel: str) -> Steps[Grant]:
        kind = kind_of(check_name(channel))
        if not kind.guarded:
            raise Forbidden("no channel of that kind takes anybody's leave", channel=channel)
        if user is None:
            raise Forbidden("nobody is signed in", channel=channel)
        name = channel.removeprefix(kind.value)
        for rule in self._rules:
            if (found := rule.pattern.match(name)) is not None:
                return (yield from rule.ask(user, channel, kind, found, self._readers_of(rule)))
        raise Forbidden(f"no rule matches {name[:200]!r}; {self._listing()}", channel=channel)

    def _ask_sign_in(self, user: object) -> Steps[SignIn]:
        if user is None:
            raise Forbidden("nobody is signed in", channel=None)
        if self._sign_in is None:
            raise Forbidden("no function is registered with sign_in()", channel=None)
        what = f"the function for signing in, {getattr(self._sign_in, '__qualname__', self._sign_in)!r},"
        who = yield Call(what, self._sign_in, (user,), {})
        if isinstance(who, SignIn):
            return who
        if who is None or who is False:
            raise Forbidden(f"{what} says no".replace(",", ""), channel=None)
        raise TypeError(f"{what} returned {type(who).__name__!r}; return a SignIn, or None to refuse")

    def _readers_of(self, rule: Rule) -> dict[str, Reader]:
        key = rule.pattern.text
        if key not in self._readers:
            self._readers[key] = rule.readers(self._resolvers)
        return self._readers[key]

    def _listing(self) -> str:
        shown = ", ".join(map(repr, self.patterns[:_MOST_NAMED]))
        more = len(self._rules) - _MOST_NAMED
        return f"there are {shown or 'none'}" + (f" and {more} more" if more > 0 else "")

    def _add(self, rule: Rule) -> None:
        for earlier in self._rules:
            if problem := _conflict(earlier, rule):
                raise ConfigurationError(problem)
        for parent, prefix in self._included_in:
            parent._add(rule.under(prefix))  # noqa: SLF001 - of the same class
        self._rules.append(rule)

    def _add_resolver(self, kind: type, find: Callable[..., Any]) -> None:
        if self._resolvers.get(kind, find) is not find:
            raise ConfigurationError(f"two resolvers are registered for {kind.__name__}")
        for parent, _ in self._included_in:
            parent._add_resolver(kind, find)  # noqa: SLF001 - of the same class
        self._resolvers[kind] = find
        self._readers.clear()

    def _above(self) -> list[ChannelRules]:
        found: list[ChannelRules] = []
        for parent, _ in self._included_in:
            found += [parent, *parent._above()]  # noqa: SLF001 - of the same class
        return found


def _conflict(earlier: Rule, later: Rule) -> str:
    """Return why a name could mean either rule, or nothing."""
    first, second = earlier.pattern, later.pattern
    if not first.meets(second):
        return ""
    if first.covers(second):
        what = f"pattern {second.text!r} is never reached: the names it matches are taken by {first.text!r}"
        again = "" if second.covers(first) else ", so register it before that one"
        return f"{what} of rule {earlier.name}{again}"
    if second.covers(first):
        return ""
    return f"pattern {second.text!r} is ambiguous: some names match {first.text!r} of rule {earlier.name} too"
