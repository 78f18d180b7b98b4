import pytest

from broadcaster import ConfigurationError
from broadcaster.server.apps import App, check_apps
from broadcaster.signing import Credentials


def test_the_secret_is_not_shown() -> None:
    assert "hush" not in repr(App("1", "key", "hush"))


@pytest.mark.parametrize(
    ("apps", "says"),
    [
        ([], "at least one"),
        ([App("1", "a", "x"), App("1", "b", "x")], "same id"),
        ([App("1", "a", "x"), App("2", "a", "x")], "same key"),
        ([App("", "a", "x")], "empty id"),
        ([App("1", "", "x")], "empty key"),
        ([App("1", "a", "")], "empty secret"),
        ([App("1", "a", "x", other_keys=(Credentials("b", ""),))], "other_keys"),
        ([App("1", "a", "x", other_keys=(Credentials("a", "y"),))], "same key"),
        ([App("1", "a", "x"), App("2", "b", "x", other_keys=(Credentials("a", "y"),))], "same key"),
        ([App("1", "a", "x", origins=("https://a b",))], "no origin"),
    ],
)
def test_applications_that_cannot_be_told_apart_are_refused(apps: list[App], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        check_apps(apps)


def test_two_applications_may_share_a_secret() -> None:
    assert len(check_apps([App("1", "a", "x"), App("2", "b", "x")])) == 2
