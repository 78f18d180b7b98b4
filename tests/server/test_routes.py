from dataclasses import replace

from broadcaster.protocol.api import ApiRequest, ApiResponse
from broadcaster.server.node import Node
from broadcaster.server.routes import Routes
from tests.server.clients import APP


def test_an_application_that_is_disabled_answers_403_to_its_api() -> None:
    routes = Routes(Node([replace(APP, enabled=False)], encode=str))

    response = routes.answer(ApiRequest("GET", f"/apps/{APP.id}/channels"))

    assert isinstance(response, ApiResponse)
    assert response.status == 403
