import pytest

from broadcaster.protocol.api_routes import Route, find_route


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/apps/3/events", Route("/apps/{app_id}/events", "3")),
        ("/apps/a%20b/batch_events", Route("/apps/{app_id}/batch_events", "a b")),
        ("/apps/3/channels", Route("/apps/{app_id}/channels", "3")),
        ("/apps/3/channels/a", Route("/apps/{app_id}/channels/{channel}", "3", "a")),
        ("/apps/3/channels/%23a", Route("/apps/{app_id}/channels/{channel}", "3", "#a")),
        ("/apps/3/channels/a%2Fusers", Route("/apps/{app_id}/channels/{channel}", "3", "a/users")),
        ("/apps/3/channels/a/users", Route("/apps/{app_id}/channels/{channel}/users", "3", "a")),
        (
            "/apps/3/users/a/b%20c/terminate_connections",
            Route("/apps/{app_id}/users/{user_id}/terminate_connections", "3", "a/b c"),
        ),
    ],
)
def test_a_path_is_one_of_a_few_calls(path: str, route: Route) -> None:
    assert find_route(path) == route


@pytest.mark.parametrize(
    "path",
    [
        "", "/", "/apps", "/apps/3", "/apps/3/", "/apps//events", "apps/3/events", "//apps/3/events",
        "/app/3/events", "/apps/3/events/", "/apps/3/channels/", "/apps/3/channels//users",
        "/apps/3/users//terminate_connections", "/apps/3/users/terminate_connections", "/apps/3/4/events",
    ],
)  # fmt: skip
def test_any_other_path_is_none(path: str) -> None:
    assert find_route(path) is None
