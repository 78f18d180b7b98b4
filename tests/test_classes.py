from __future__ import annotations

import gc
import weakref

import pytest

from broadcaster._classes import once_per_class


def test_each_class_is_asked_about_once() -> None:
    asked: list[type] = []

    @once_per_class
    def name_of(cls: type) -> str:
        asked.append(cls)
        return cls.__name__

    assert [name_of(int), name_of(bool), name_of(int)] == ["int", "bool", "int"]
    assert asked == [int, bool]


def test_an_answer_of_none_is_remembered_too() -> None:
    asked: list[type] = []
    found = once_per_class(asked.append)

    for _ in range(2):
        found(int)

    assert asked == [int]


def test_what_raises_is_asked_again() -> None:
    divisors = iter([0, 1])
    inverse = once_per_class(lambda _: 1 / next(divisors))

    with pytest.raises(ZeroDivisionError) as caught:
        inverse(int)

    assert caught.value.__context__ is None
    assert inverse(int) == 1


def test_a_class_made_for_the_moment_is_forgotten() -> None:
    name_of = once_per_class(lambda cls: cls.__name__)
    momentary = type("Momentary", (), {})

    name_of(momentary)
    gone = weakref.ref(momentary)
    del momentary
    gc.collect()

    assert gone() is None
