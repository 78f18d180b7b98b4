from dataclasses import replace

from broadcaster.protocol.api import ApiRequest
from broadcaster.server.node import Node
from broadcaster.server.routes import Routes
from tests.server.clients import APP


def test_an_application_that_is_disabled_answers_403_to_its_api() -> None:
    routes = Routes(Node([replace(APP, enabled=False)], encode=str))

    assert routes.answer(ApiRequest("GET", f"/apps/{APP.id}/channels")).status == 403
