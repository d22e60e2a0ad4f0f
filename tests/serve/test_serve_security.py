"""Who may ask: host names, other sites' pages, tokens; and the headers that browsers heed."""

import re
import subprocess
import sys

import pytest
from serving import TOKEN

from pairlight.errors import ConfigError
from pairlight.serve.app import STATIC
from pairlight.serve.settings import Settings, is_loopback

ADDRESSES = ("/", "/docs", "/openapi.json", "/api/v1/search?text=red", "/api/v1/photos/1")


@pytest.mark.parametrize("path", [*ADDRESSES, "/healthz", "/static/page.js", "/nothing"])
def test_every_answer_has_the_headers(steady, path):
    answer = steady.get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert not any(name.startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "127.0.0.1", "127.0.0.1:1", "[::1]:8"]
)
def test_names_of_this_machine(steady, host):
    assert steady.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", ""]
    + ["10.0.0.1", "0.0.0.0", "[::2]", "[::1", "evil.example:127.0.0.1", "localhost:80:80"],
)
def test_other_names_are_refused(steady, host):
    for path in ("/", "/healthz", "/api/v1/search?text=red"):
        answer = steady.get(path, headers={"Host": host})
        assert answer.status_code == 421 and "localhost only" in answer.json()["error"]


def test_pages_of_other_sites_are_refused(steady):
    for site in ("cross-site", "same-site"):
        for mode in ("cors", "no-cors"):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
            assert steady.get("/api/v1/photos/1", headers=headers).status_code == 403
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
        assert steady.get("/", headers=headers).status_code == 200  # a link to the page
        assert steady.post("/api/v1/search", headers=headers).status_code == 403
    headers = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}
    assert steady.get("/api/v1/stats", headers=headers).status_code == 200
    # No other origin is ever told that it may.
    answer = steady.options("/api/v1/search", headers={"Origin": "https://evil.example",
                            "Access-Control-Request-Method": "POST"})  # fmt: skip
    assert answer.status_code == 405


def test_nothing_of_the_photos_without_the_token(serve):
    client = serve("http://photos.example:8000", host="0.0.0.0", token=TOKEN)
    for path in (*ADDRESSES, "/api/v1/stats", "/nothing", "/staticx"):
        for headers in ({}, {"Authorization": "Bearer wrong-but-quite-long"},
                        {"Authorization": f"Basic {TOKEN}"}, {"Authorization": "Bearer"},
                        {"Cookie": f"pairlight_8000={TOKEN}"}, {"Cookie": "pairlight_8000="},
                        {"Authorization": "Bearer \u00e9"}):  # fmt: skip
            answer = client.get(path, headers={k: v.encode("latin-1") for k, v in headers.items()})
            assert answer.status_code == 401, path
            assert "token is needed" in answer.json()["error"]
            assert answer.headers["www-authenticate"] == "Bearer"
        assert client.get(path, params={"token": "wrong"}).status_code == 401
    assert client.post("/api/v1/search", params={"token": TOKEN}).status_code == 401
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/static/page.css").status_code == 200
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert all(client.get(path, headers=right).status_code == 200 for path in ADDRESSES)
    assert not client.cookies


def test_a_browser_signs_in_once(serve):
    client = serve("http://photos.example:8000", host="0.0.0.0", token=TOKEN)
    page = client.get("/", headers={"Accept": "text/html"})
    assert page.status_code == 401 and '<form method="get"' in page.text
    answer = client.get("/", params={"token": TOKEN}, headers={"Accept": "text/html"})
    assert answer.status_code == 200 and "page.js" in answer.text
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
    assert all(client.get(path).status_code == 200 for path in ADDRESSES)
    assert client.post("/api/v1/search", data={"text": "red"}).status_code == 200


def test_the_token_is_no_parameter_of_the_search(serve):
    client = serve("http://photos.example:8000", host="0.0.0.0", token=TOKEN)
    answer = client.get("/api/v1/search", params={"text": "blue & white", "token": TOKEN})
    assert answer.status_code == 200


def test_over_https_the_cookie_is_for_https(serve):
    client = serve("https://photos.example", host="0.0.0.0", token=TOKEN)
    assert "Secure" in client.get(f"/?token={TOKEN}").headers["set-cookie"]


def test_a_token_on_loopback_guards_as_well(serve):
    client = serve(token=TOKEN)
    assert client.get("/api/v1/stats").status_code == 401
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert client.get("/api/v1/stats", headers=right).status_code == 200
    evil = {**right, "Host": "evil.example"}
    assert client.get("/api/v1/stats", headers=evil).status_code == 421


def test_websockets_are_refused(steady):
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), steady.websocket_connect("/"):
        pass


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "LocalHost.", "::1", "[::1]", "127.9.9.9"]
)
def test_loopback_addresses(host):
    assert is_loopback(host) and Settings(host=host).token is None


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "", "192.168.1.2", "photos.example", "localhost.x"]
)
def test_other_addresses_demand_a_token(host):
    assert not is_loopback(host)
    with pytest.raises(ConfigError, match="token is needed"):
        Settings(host=host)
    made = {Settings.of(host).token for _ in range(3)}
    assert len(made) == 3 and all(len(token or "") >= 32 for token in made)
    assert Settings.of(host, TOKEN).token == TOKEN


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"token": "short"}, "too short"),
        ({"token": "with spaces in between them"}, "letters, digits"),
        ({"token": "\u00e9" * 20}, "letters, digits"),
        ({"port": 70000}, "not a port"),
        ({"timeout": 0}, "over zero"),
        ({"timeout": float("nan")}, "over zero"),
        ({"max_upload_mb": -1}, "over zero"),
        ({"queue": -1}, "zero or more"),
    ],
)
def test_settings_that_make_no_sense(wrong, told):
    with pytest.raises(ConfigError, match=told):
        Settings(**wrong)


def test_pages_have_no_inline_script_or_style_and_nothing_from_elsewhere():
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        addresses = set(re.findall(r"https?://[^\s\"'<]+", text))
        assert addresses <= {"http://www.w3.org/2000/svg"}, path
        if path.suffix == ".html":
            assert "style=" not in text and "<style" not in text and "onclick" not in text
            assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))
        if path.suffix == ".js":
            for unsafe in (
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
            ):
                assert unsafe not in text, path


def test_static_files_are_asked_for_again_and_answered_in_a_word(steady):
    for path in ("/", "/static/page.js"):
        first = steady.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = steady.get(path, headers={"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_serving_needs_no_torch():
    code = (
        "import sys\n"
        "for name in ('torch', 'timm', 'transformers', 'matplotlib', 'sklearn', 'safetensors'):\n"
        "    sys.modules[name] = None\n"
        "import pkgutil, pairlight.serve, pairlight.cli.serve\n"
        "for each in pkgutil.iter_modules(pairlight.serve.__path__):\n"
        "    __import__('pairlight.serve.' + each.name)\n"
        "import uvicorn\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
