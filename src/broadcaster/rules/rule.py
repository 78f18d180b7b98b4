"""One rule: a pattern, and the function or class that decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from inspect import Parameter, isclass
from typing import Any

from broadcaster.channels import Kind
from broadcaster.errors import ConfigurationError, Forbidden, named, suggestion
from broadcaster.messages import Member
from broadcaster.rules.calls import Call, Steps
from broadcaster.rules.patterns import Pattern
from broadcaster.rules.values import NotFound, Reader, Resolvers, hints_of, reader_of, taken_by

__all__ = ["Grant", "Rule"]


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to join *channel*, by its whole name; on a presence channel as that *member*."""

    channel: str
    member: Member | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """Decides about the channels that *pattern* matches.

    *decide* is a function `(user, ...)` with a parameter for each placeholder that it wants, or a class
    with such a method `join()`, which is made anew for each question.
    """

    pattern: Pattern
    decide: Any

    @classmethod
    def of(cls, pattern: str, decide: object) -> Rule:
        """Return the rule; raise `ConfigurationError` where *decide* wants what *pattern* does not have."""
        rule = cls(Pattern.parse(pattern), decide)
        function: object = rule._function
        # Text has a join() too.
        if not callable(function) or isinstance(decide, str | bytes):
            raise ConfigurationError(f"a rule is a function or a class with join(), not {decide!r}")
        if isclass(decide) and any(_is_needed(parameter) for parameter in taken_by(decide)):
            raise ConfigurationError(f"{rule.name} takes arguments: register an instance of it instead")
        wanted = rule._wanted
        known = rule.pattern.placeholders
        for parameter in wanted:
            if parameter.name not in known and _is_needed(parameter):
                hint = suggestion(parameter.name, known)
                raise ConfigurationError(
                    f"rule {rule.name} takes {parameter.name!r}, which the pattern {pattern!r} does not have"
                    f"{hint}; it has: {named(known)}"
                )
        return rule

    @property
    def name(self) -> str:
        """What the application calls it."""
        decide = self.decide if hasattr(self.decide, "__qualname__") else type(self.decide)
        return repr(str(getattr(decide, "__qualname__", decide)))

    def under(self, prefix: str) -> Rule:
        """Return the same rule for the names that have *prefix* before them."""
        return replace(self, pattern=Pattern.parse(prefix + self.pattern.text))

    def readers(self, resolvers: Resolvers) -> dict[str, Reader]:
        """Return what reads each placeholder that the rule wants.

        Raises `ConfigurationError` for one whose class nothing finds.
        """
        names = [p.name for p in self._wanted if p.name in self.pattern.placeholders]
        hints = hints_of(self._function, names)
        try:
            return {name: reader_of(hints.get(name, str), resolvers) for name in names}
        except ConfigurationError as error:
            raise ConfigurationError(f"rule {self.name} for {self.pattern.text!r}: {error}") from error

    def ask(
        self, user: object, channel: str, kind: Kind, found: dict[str, str], readers: dict[str, Reader]
    ) -> Steps[Grant]:
        """Return the grant of one user for one channel; raise `Forbidden` where there is none.

        *found* is what the placeholders stand for. What the rule itself raises is left alone.
        """
        values: dict[str, object] = {}
        for name, reader in readers.items():
            try:
                values[name] = yield from reader(found[name])
            except NotFound:
                raise Forbidden(f"{name} {found[name]!r} is nothing that is known", channel=channel) from None
        function = _function_of(self.decide() if isclass(self.decide) else self.decide)
        verdict = yield Call(f"rule {self.name}", function, (user,), values)
        return self._grant(verdict, channel, kind)

    def _grant(self, verdict: object, channel: str, kind: Kind) -> Grant:
        match verdict:
            case None | False:
                raise Forbidden(f"rule {self.name} says no", channel=channel)
            case Member():
                return Grant(channel, verdict if kind is Kind.PRESENCE else None)
            case True if kind is Kind.PRESENCE:
                # Not an error: whoever asks chooses the prefix, and the rule may be for private channels.
                reason = (
                    f"rule {self.name} returned True; on a presence channel it says who: Member(id, info)"
                )
                raise Forbidden(reason, channel=channel)
            case True:
                return Grant(channel)
        raise TypeError(
            f"rule {self.name} returned {type(verdict).__name__!r}; return True, False or None, "
            "or a Member on a presence channel"
        )

    @property
    def _function(self) -> Callable[..., Any]:
        return _function_of(self.decide)

    @property
    def _wanted(self) -> list[Parameter]:
        """The parameters after that of the user, and after `self` of a class."""
        taken = taken_by(self._function)[isclass(self.decide) :]
        if not taken or taken[0].kind is Parameter.KEYWORD_ONLY:
            raise ConfigurationError(f"rule {self.name} must take the user first")
        return [p for p in taken[1:] if p.kind not in {p.VAR_POSITIONAL, p.VAR_KEYWORD}]


def _function_of(decide: Any) -> Callable[..., Any]:
    function: Callable[..., Any] = getattr(decide, "join", None) or decide
    return function


def _is_needed(parameter: Parameter) -> bool:
    variadic = {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    return parameter.default is parameter.empty and parameter.kind not in variadic
