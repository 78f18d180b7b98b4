from broadcaster.protocol.patterns import Patterns


def test_a_star_stands_for_anything_and_nothing_else_is_special() -> None:
    patterns = Patterns(["room.*", "a+b", "*-log"])

    assert all(patterns.match(name) for name in ("room.1", "room.", "a+b", "x-log", "-log"))
    assert not any(patterns.match(name) for name in ("roomx1", "a", "aab", "x-log2", ""))


def test_without_patterns_nothing_matches() -> None:
    assert not Patterns([]).match("a")
    assert not Patterns([]).match("")
