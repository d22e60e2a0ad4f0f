"""The OpenAPI document: what it promises holds for requests that schemathesis makes up."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from serving import TOKEN, on_a_port

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


BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.mark.slow
def test_what_is_said_to_need_the_token_needs_it(steady_library):
    from schemathesis.specs.openapi.checks import ignored_auth

    chosen = Settings(port=0, token=TOKEN)
    with on_a_port(create_app(steady_library, chosen), chosen) as address:
        document = address.replace("?token=", "openapi.json?token=")
        api = schemathesis.openapi.from_url(document)

        @settings(max_examples=3, deadline=None, database=None, derandomize=True,
                  suppress_health_check=list(HealthCheck), phases=[Phase.generate])  # fmt: skip
        @given(case=api["/api/v1/stats"]["GET"].as_strategy())
        def ask(case):
            case.headers.update(BEARER)
            answer = case.call()
            assert answer.status_code == 200
            case.validate_response(answer, checks=[ignored_auth])

        ask()


def test_the_token_is_in_the_document_as_it_is_shown(serve):
    client = serve("http://photos.example:8000", host="0.0.0.0", token=TOKEN)
    api = client.get("/openapi.json", headers=BEARER).json()
    schemes = api["components"]["securitySchemes"]
    bearer, cookie = schemes["token"], schemes["cookie"]
    assert (bearer["type"], bearer["scheme"]) == ("http", "bearer")
    assert (cookie["type"], cookie["in"]) == ("apiKey", "cookie")
    for path, methods in api["paths"].items():
        # Of the list's parts one is enough; in one part, both would be needed.
        either = None if path == "/healthz" else [{"token": []}, {"cookie": []}]
        assert all(each.get("security") == either for each in methods.values()), path
    assert client.get("/api/v1/stats", headers=BEARER).status_code == 200
    client.get("/", params={"token": TOKEN})
    assert list(client.cookies) == [cookie["name"]]
    assert client.get("/api/v1/stats").status_code == 200


def test_what_does_not_hold_is_not_in_the_document(serve, steady):
    assert "security" not in steady.get("/openapi.json").text
    api = serve(port=0, token=TOKEN).get("/openapi.json", headers=BEARER).json()
    assert list(api["components"]["securitySchemes"]) == ["token"]  # The port is not known.


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
