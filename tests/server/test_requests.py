import pytest

from broadcaster.protocol.api import ApiRequest
from broadcaster.server.histogram import Histogram
from broadcaster.server.requests import Requests, route_of


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/apps/3/events", "/apps/{app_id}/events"),
        ("/apps/3/batch_events", "/apps/{app_id}/batch_events"),
        ("/apps/3/channels", "/apps/{app_id}/channels"),
        ("/apps/3/channels/presence-a", "/apps/{app_id}/channels/{channel}"),
        ("/apps/3/channels/presence-a/users", "/apps/{app_id}/channels/{channel}/users"),
        ("/apps/3/users/a/b/terminate_connections", "/apps/{app_id}/users/{user_id}/terminate_connections"),
        ("/app/key", "/app/{key}"),
        ("/up", "/up"),
        ("/client.js", "/client.js"),
        ("/apps/3/eve", "other"),
        ("/apps//events", "other"),
        ("/", "other"),
        ("", "other"),
        ("/wp-login.php", "other"),
        ("/apps/\\1/events", "/apps/{app_id}/events"),
    ],
)
def test_a_path_becomes_one_of_a_few_routes(path: str, route: str) -> None:
    assert route_of(path) == route


def test_requests_are_counted_by_route_method_and_status() -> None:
    requests = Requests()
    for method, status in (("GET", 200), ("GET", 200), ("BREW", 405)):
        with requests.taken(ApiRequest(method, "/apps/3/channels")) as taken:
            taken.status = status

    route = "/apps/{app_id}/channels"
    assert requests.counts == {(route, "GET", 200): 2, (route, "other", 405): 1}
    assert requests.seconds[route, "GET"].cumulative[-1] == 2


def test_what_breaks_counts_as_500() -> None:
    requests = Requests()

    with pytest.raises(ZeroDivisionError), requests.taken(ApiRequest("GET", "/up")):
        raise ZeroDivisionError

    assert requests.counts == {("/up", "GET", 500): 1}


def test_what_is_waited_for_is_counted_when_that_ends() -> None:
    requests = Requests()

    with requests.taken(ApiRequest("GET", "/up")) as taken:
        waiting = taken.go_on()
    before = dict(requests.counts)
    with waiting:
        taken.status = 200

    assert before == {}
    assert requests.counts == {("/up", "GET", 200): 1}


def test_a_histogram_counts_what_is_at_most_each_bound() -> None:
    histogram = Histogram((0.1, 1.0))

    for seconds in (0.0, 0.1, 0.5, 1.0, 7.0):
        histogram.observe(seconds)

    assert histogram.cumulative == [2, 4, 5]
    assert histogram.total == pytest.approx(8.6)
