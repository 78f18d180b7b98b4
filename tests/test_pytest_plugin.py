import pytest

pytest_plugins = ["pytester"]

TEST = """
    from broadcaster import AnonymousEvent, BroadcastManager

    def test_captured(broadcasting):
        BroadcastManager().send(AnonymousEvent("hello", on="lobby"))
        broadcasting.assert_sent("hello", channel="lobby", times={times})

    def test_fresh(broadcasting):
        broadcasting.assert_nothing_sent()
"""


def test_the_fixture_captures_every_manager_and_starts_empty(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST.format(times=1))

    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=2)


def test_a_failure_shows_what_was_sent(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(TEST.format(times=2))

    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")

    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*expected hello on lobby twice, found once; sent was:*"])


def test_the_plugin_costs_a_test_run_nothing_until_it_is_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_not_loaded():
            assert "broadcaster.manager" not in sys.modules
        """
    )

    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
