"""Limits: bytes while they stream in, pixels, seconds, places in line."""

import asyncio
import re
import socket
import struct
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from pairlight.errors import ConfigError
from pairlight.serve.limits import Limits, Workers
from pairlight.serve.problems import Problem
from pairlight.serve.run import listen
from pairlight.serve.settings import Settings


def told(answer, status):
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return answer.json()["error"]


HEADERS = {"Content-Type": "multipart/form-data; boundary=b"}
TRAVERSALS = [
    b"/static/../../../../etc/passwd",
    b"/static/%2e%2e/app.py",
    b"//etc/passwd",
    b"/api/v1/photos/1/../../../../../etc/passwd",
    b"/api/v1/photos/..%2f..%2f..%2fetc%2fpasswd",
    b"/static/page.js%00.html",
]


def test_an_upload_is_refused_while_it_streams_in(serve):
    app = serve(max_upload_mb=0.1).app
    head = b'--b\r\nContent-Disposition: form-data; name="image"; filename="x"\r\n\r\n'
    asked, sent = [], []

    async def receive():
        asked.append(1)
        body = head if len(asked) == 1 else b"x" * 10_000
        return {"type": "http.request", "body": body, "more_body": True}

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost"), (b"content-type", HEADERS["Content-Type"].encode())]
    scope = {"type": "http", "method": "POST", "path": "/api/v1/search", "raw_path": b"",
             "query_string": b"", "headers": headers, "http_version": "1.1"}  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 413 and b"over the limit of 0.1 MB" in sent[1]["body"]
    assert len(asked) == 11 and len(sent) == 2
    names = [name for name, _ in sent[0]["headers"]]
    assert b"connection" in names and b"x-content-type-options" in names


def test_an_upload_that_says_it_is_too_large_is_not_read(serve):
    client = serve(max_upload_mb=0.1)
    answer = client.post("/api/v1/search", files={"image": b"x" * 100_001})
    assert "over the limit" in told(answer, 413)
    answer = client.request("GET", "/api/v1/search?text=red", content=b"x" * 100_001)
    assert "over the limit" in told(answer, 413)


def test_an_upload_within_the_limit_is_read(serve, photos):
    client = serve(max_upload_mb=0.1)
    content = (photos / "red.png").read_bytes()
    assert client.post("/api/v1/search", files={"image": content}).status_code == 200


def png(width, height):
    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (png(60_000, 60_000), "over the limit of 175 million pixels"),
        (png(14_000, 13_000), "over the limit of 175 million pixels"),
        (png(13_000, 13_000), "13000 x 13000 pixels is over the limit of 50 million pixels"),
        (png(7_100, 7_100), "over the limit of 50 million pixels"),
        (png(7_000, 7_000), "unreadable image"),
        (png(30, 30), "unreadable image"),
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 40, "image: "),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "not an image"),
    ],
)
def test_images_that_are_none_or_are_bombs(steady, content, why):
    error = told(steady.post("/api/v1/search", files={"image": content}), 422)
    assert (
        error.startswith("image: ") and why in error and "/" not in error.replace("pillow-heif", "")
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b",
        b"--b\r\n\r\n\r\n--b--",
        b"\r\n" * 5000,
        b"--b\r\nContent-Disposition: form-data",
    ],
)
def test_torn_forms(steady, body):
    answer = steady.post("/api/v1/search", content=body, headers=HEADERS)
    assert answer.status_code in (400, 422) and set(answer.json()) == {"error"}


def test_an_image_must_be_a_file(steady):
    assert "image" in told(steady.post("/api/v1/search", data={"image": "/etc/passwd"}), 422)


def until(true):
    for _ in range(3000):
        if true():
            return
        time.sleep(0.01)
    raise AssertionError("it never came about")


def test_a_full_line_turns_searches_away_and_nothing_else(serve, model):
    client = serve(queue=1)
    workers = client.app.app.app.state.service.encoder
    model.free.clear()
    with ThreadPoolExecutor(2) as pool:
        waiting = [
            pool.submit(client.get, f"/api/v1/search?text={word}") for word in ("red", "blue")
        ]
        until(lambda: workers.held == 2)
        answer = client.get("/api/v1/search?text=green")
        assert "try again" in told(answer, 503) and answer.headers["retry-after"] == "1"
        assert client.get("/healthz").status_code == 200
        assert client.get("/api/v1/photos/1/thumbnail").status_code == 200
        assert client.get("/api/v1/stats").status_code == 200
        model.free.set()
        assert [each.result().status_code for each in waiting] == [200, 200]
    until(lambda: workers.held == 0)
    assert client.get("/api/v1/search?text=green").status_code == 200


def test_a_search_that_takes_too_long_is_given_up(serve, model):
    client = serve(timeout=0.2, queue=1)
    workers = client.app.app.app.state.service.encoder
    model.free.clear()
    assert "too long" in told(client.get("/api/v1/search?text=red"), 504)
    assert workers.held == 1  # It runs on, and keeps its place.
    assert "too long" in told(client.get("/api/v1/search?text=red"), 504)
    until(lambda: workers.held == 1)  # One that was waiting is never begun.
    model.free.set()
    until(lambda: workers.held == 0)


def test_an_upload_that_never_ends_is_given_up():
    async def app(scope, receive, send):
        while True:
            await receive()

    async def receive():
        await asyncio.sleep(3600)

    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "headers": []}
    asyncio.run(Limits(app, 100, 0.05)(scope, receive, send))
    assert sent[0]["status"] == 408 and b"in time" in sent[1]["body"]


def test_a_response_that_has_begun_is_not_cut_off():
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(0.3)
        await send({"type": "http.response.body", "body": b"all of it"})

    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(Limits(app, 100, 0.05)({"type": "http", "headers": []}, None, send))
    assert [message.get("body") for message in sent] == [None, b"all of it"]


def test_work_that_is_given_up_while_it_waits_is_never_begun():
    workers, gate, done = Workers("test", 1, 2), threading.Event(), []

    async def scene():
        running = asyncio.create_task(workers.run(gate.wait, 60))
        waiting = asyncio.create_task(workers.run(done.append, "begun"))
        await asyncio.sleep(0)
        waiting.cancel()
        third = asyncio.create_task(workers.run(done.append, "third"))
        await asyncio.sleep(0.01)
        gate.set()
        await running
        await third
        workers.close()
        with pytest.raises(Problem, match="stopping"):
            await workers.run(done.append, "late")

    asyncio.run(scene())
    assert done == ["third"] and workers.held == 0


def raw(address, request):
    host, port = address.removeprefix("http://").strip("/").split(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(request)
        got = b""
        while part := connection.recv(65536):
            got += part
    return got


def test_over_a_socket(live):
    address = live(max_upload_mb=0.1)
    end = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    found = raw(address, b"GET /api/v1/search?text=red" + end)
    assert found.startswith(b"HTTP/1.1 200") and b"server:" not in found.lower()
    for path in TRAVERSALS:
        found = raw(address, b"GET " + path + end)
        assert found.startswith((b"HTTP/1.1 404", b"HTTP/1.1 422")) and b"root:" not in found
    head = b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\n"
    kind = b"Content-Type: multipart/form-data; boundary=b\r\n"
    found = raw(address, head + kind + b"Content-Length: 99999999\r\n\r\n--b")
    assert found.startswith(b"HTTP/1.1 413")
    chunk = b"5000\r\n" + b"x" * 0x5000 + b"\r\n"
    found = raw(address, head + kind + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 6)
    assert found.startswith(b"HTTP/1.1 413")


def test_a_port_that_is_taken():
    with listen(Settings(port=0)) as first:
        port = first.getsockname()[1]
        with pytest.raises(Exception, match=f"--port {port}: .*choose another"):
            listen(Settings(port=port))


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", ".", "a" * 70, "\u00e9" * 70])
def test_a_host_that_is_none(host):
    with pytest.raises(ConfigError, match=f"--host {re.escape(host)} .*no such address"):
        listen(Settings(host=host, token="x" * 20))
