"""The OpenAPI document: what it promises holds for requests that schemathesis makes up."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from serving import on_a_port

from pairlight.serve.app import create_app
from pairlight.serve.settings import Settings

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")


@pytest.fixture(scope="module")
def operations(steady_library):
    """Path and method -> operation, of a server on a port."""
    settings = Settings(port=0)
    with on_a_port(create_app(steady_library, settings), settings) as address:
        api = schemathesis.openapi.from_url(f"{address}openapi.json")
        found = [result.ok() for result in api.get_all_operations()]
        yield {(each.method.upper(), each.path): each for each in found}


@pytest.mark.slow
@pytest.mark.parametrize(
    "place",
    [
        ("GET", "/api/v1/search"),
        ("POST", "/api/v1/search"),
        ("GET", "/api/v1/similar/{id}"),
        ("GET", "/api/v1/photos/{id}"),
        ("GET", "/api/v1/photos/{id}/thumbnail"),
        ("GET", "/api/v1/stats"),
    ],
)
def test_what_is_made_up_is_answered_as_promised(operations, place):
    from schemathesis import checks

    held = [
        checks.not_a_server_error,
        checks.status_code_conformance,
        checks.content_type_conformance,
        checks.response_schema_conformance,
    ]

    @settings(max_examples=8, deadline=None, database=None, derandomize=True,
              suppress_health_check=list(HealthCheck), phases=[Phase.generate])  # fmt: skip
    @given(case=operations[place].as_strategy())
    def ask(case):
        case.validate_response(case.call(), checks=held)

    ask()


def test_every_route_is_described(steady):
    answer = steady.get("/openapi.json")
    paths = answer.json()["paths"]
    assert set(paths) == {
        "/api/v1/search",
        "/api/v1/similar/{id}",
        "/api/v1/photos/{id}",
        "/api/v1/photos/{id}/thumbnail",
        "/api/v1/stats",
        "/healthz",
    }
    assert "HTTPValidationError" not in answer.text and "a dog on the beach" in answer.text
    for methods in paths.values():
        for operation in methods.values():
            assert operation["summary"] and operation["description"]
    upload = paths["/api/v1/search"]["post"]["requestBody"]["content"]
    assert list(upload) == ["multipart/form-data"]
