"""Connections: silent, slow and deaf clients lose theirs and stop nobody else."""

import contextlib
import json
import socket
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from serving import on_a_port

from pairlight.serve.security import HEADERS
from pairlight.serve.settings import Settings

SOON = 20  # seconds: far more than any clock here, far less than for ever
LARGE = 32_000_000
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"


def connect(address):
    host, port = address.removeprefix("http://").strip("/").split(":")
    return socket.create_connection((host, int(port)), timeout=SOON)


def rest(connection):
    """Return what still comes until the server closes; a time-out fails the test."""
    got = b""
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        while part := connection.recv(65536):
            got += part
    return got


def healthy(address):
    with connect(address) as connection:
        connection.sendall(HEAD + b"Connection: close\r\n\r\n")
        return rest(connection).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("said", "answers"),
    [
        (b"", 0),
        (b"G", 0),
        (HEAD, 0),
        (HEAD + b"\r\n" + HEAD, 1),
        (b"POST" + HEAD[3:] + b"Content-Length: 9999\r\n\r\nx", 1),
    ],
)
def test_a_request_that_does_not_come_whole_ends_the_connection(live, said, answers):
    with connect(live(head_timeout=0.5)) as connection:
        start = time.monotonic()
        connection.sendall(said)
        got = rest(connection)
        assert 0.4 < time.monotonic() - start < SOON
    assert got.count(b"HTTP/1.1 ") == answers


@pytest.mark.parametrize(
    "begun", [HEAD + b"X: ", b"POST" + HEAD[3:] + b"Content-Length: 9999\r\n\r\n"]
)
def test_bytes_that_drip_do_not_put_it_off(live, begun):
    with connect(live(head_timeout=0.5)) as connection:
        connection.sendall(begun)
        with pytest.raises(OSError):  # reset, or broken pipe
            for _ in range(SOON * 20):
                connection.sendall(b"x")
                time.sleep(0.05)


def test_a_head_in_pieces_is_answered_and_the_clock_starts_anew(live):
    with connect(live(head_timeout=2)) as connection:
        for _ in range(4):
            time.sleep(0.4)
            connection.sendall(HEAD)
            time.sleep(0.2)
            connection.sendall(b"\r\n")
            got = b""
            while not got.endswith(b'{"status":"ok"}'):
                part = connection.recv(65536)
                assert part, "closed too early"
                got += part


def test_a_search_may_take_longer_than_a_head(live, model):
    address = live(head_timeout=0.2, read_timeout=0.2)
    model.free.clear()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(urllib.request.urlopen, address + "api/v1/search?text=red")
        time.sleep(1)
        model.free.set()
        with waiting.result() as answer:
            assert answer.status == 200


def test_idle_connections_give_way_the_oldest_first(live):
    address = live(max_connections=4, head_timeout=600)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(connect(address)) for _ in range(12)]
        for connection in idle[8:]:
            connection.sendall(HEAD)
        assert all(healthy(address) for _ in range(3))
        assert all(rest(connection) == b"" for connection in idle[:9])
        idle[11].sendall(b"Connection: close\r\n\r\n")
        assert rest(idle[11]).startswith(b"HTTP/1.1 200")


UPLOAD = (
    b"POST /api/v1/search HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 8\r\n"
    b"Expect: 100-continue\r\n\r\n"
)


def test_one_too_many_is_told_so_while_all_others_are_at_work(live, caplog):
    address = live(max_connections=2)
    with contextlib.ExitStack() as stack:
        uploads = [stack.enter_context(connect(address)) for _ in range(2)]
        for connection in uploads:
            connection.sendall(UPLOAD)
            assert connection.recv(65536).startswith(b"HTTP/1.1 100")  # It is at work now.
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(address + "healthz")
        for connection in uploads:
            connection.sendall(b"text=red")
            assert rest(connection).startswith(b"HTTP/1.1 200")
    with refused.value as answer:
        assert answer.code == 503 and answer.headers["Retry-After"] == "1"
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "too many connections" in json.load(answer)["error"]
    assert "over 2 connections" in caplog.text
    assert healthy(address)


async def large(scope, receive, send):
    """Answer with more than any system keeps on the way."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"." * LARGE})


def test_who_does_not_read_is_cut_off():
    settings = Settings(port=0, head_timeout=600, read_timeout=0.5)
    with on_a_port(large, settings) as address, connect(address) as connection:
        connection.sendall((HEAD + b"\r\n") * 3)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            for _ in range(SOON * 20):
                connection.sendall(b"x")
                time.sleep(0.05)


def test_who_reads_slowly_gets_all():
    settings = Settings(port=0, read_timeout=1)
    with on_a_port(large, settings) as address, connect(address) as connection:
        connection.sendall(HEAD + b"Connection: close\r\n\r\n")
        got, start = 0, time.monotonic()
        while part := connection.recv(400_000):
            got += len(part)
            time.sleep(0.04)
        assert time.monotonic() - start > 1.5 and got > LARGE
