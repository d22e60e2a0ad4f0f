"""Under load from many clients at once the server answers everything and its memory stays."""

import json
import random
import subprocess
import sys
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pairlight.embed import PRETRAINED
from pairlight.sample import sample_dir

STATM = Path("/proc/self/statm")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STATM.exists(), reason="this system does not tell resident memory"),
    pytest.mark.skipif(not PRETRAINED.is_dir(), reason="no released model"),
]
CLIENTS, WARM, MEASURED = 8, 240, 400
# A picture of 640 x 480 that is held back takes 0.9 MB, and a quarter of the requests bring one.
MOST_GROWTH_MIB = 32
PAIRLIGHT = [sys.executable, "-c", "from pairlight.cli.main import main; main()"]
WORDS = "a dog on the beach two people ride horses in snow red car food table train street".split()
PHOTOS = sorted((sample_dir() / "images").iterdir())


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The real thing in a process of its own: its address and its process."""
    store = str(tmp_path_factory.mktemp("memory") / "photos.db")
    folder = str(sample_dir() / "images")
    subprocess.run([*PAIRLIGHT, "index", folder, "--store", store, "--quiet"], check=True)
    words = [
        *PAIRLIGHT,
        "serve",
        "--store",
        store,
        "--port",
        "0",
        "--timeout",
        "120",
        "--json",
        "-",
    ]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        told = ""
        while not told.rstrip().endswith("}"):
            line = process.stdout.readline()
            assert line, "the server ended"
            told += line
        yield json.loads(told)["url"].rstrip("/"), process
        process.terminate()


def resident(process):
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


def request(address, number):
    """Ask for something, which is seeded by `number`; return what came."""
    rng = random.Random(number)
    text = " ".join(rng.choices(WORDS, k=rng.randint(1, 20)))
    query = urllib.parse.urlencode({"text": text, "k": rng.randint(1, 30), "all": "true"})
    kind, id = number % 4, rng.randint(1, len(PHOTOS))
    if kind == 0:
        return fetch(f"{address}/api/v1/search?{query}")
    if kind == 1:
        return fetch(f"{address}/api/v1/similar/{id}?k=5")
    if kind == 2:
        small = rng.choice(["", "/thumbnail"])
        return fetch(f"{address}/api/v1/photos/{id}{small}")
    mark, photo = "----part", rng.choice(PHOTOS).read_bytes()
    head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
    body = head.encode() + photo + f"\r\n--{mark}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={mark}"}
    return fetch(urllib.request.Request(f"{address}/api/v1/search", body, kind))


def fetch(what):
    with urllib.request.urlopen(what, timeout=120) as answer:
        assert answer.status == 200
        return len(answer.read())


def test_memory_stays_under_load(server):
    address, process = server
    with ThreadPoolExecutor(CLIENTS) as clients:
        assert all(clients.map(lambda number: request(address, number), range(WARM)))
        warm = resident(process)
        numbers = range(WARM, WARM + MEASURED)
        assert all(clients.map(lambda number: request(address, number), numbers))
    grown = resident(process) - warm
    assert grown < MOST_GROWTH_MIB, f"{grown:.1f} MiB more after {MEASURED} requests"
