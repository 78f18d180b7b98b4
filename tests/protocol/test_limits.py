from __future__ import annotations

import pytest

from broadcaster.errors import ConfigurationError
from broadcaster.protocol.limits import Limits


def test_the_defaults_are_those_of_the_hosted_service() -> None:
    limits = Limits()

    assert (limits.activity_timeout, limits.pong_timeout) == (120, 30)
    assert (limits.data_size, limits.event_name) == (10_240, 200)
    assert (limits.channels_per_event, limits.events_per_batch) == (100, 10)
    assert limits.client_events_per_second == 10
    assert (limits.presence_members, limits.presence_user_id, limits.presence_user_info) == (100, 128, 1_024)


@pytest.mark.parametrize("seconds", [0, -1])
def test_an_activity_timeout_that_pusher_js_would_hang_up_on_is_refused(seconds: int) -> None:
    with pytest.raises(ConfigurationError, match="activity_timeout"):
        Limits(activity_timeout=seconds)
