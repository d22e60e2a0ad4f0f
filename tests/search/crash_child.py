"""Indexes a folder and tells, after each commit, what is stored; made to be killed."""

import signal
import sys

from colours import ColourModel

from pairlight.search import index
from pairlight.search.sqlite import SqliteStore


class TellingStore(SqliteStore):
    """Prints each photo once it is stored."""

    def commit(self, model, batch):
        super().commit(model, batch)
        for found, sha256 in batch.photos:
            print(f"{sha256.hex()} {found.path}", flush=True)


if __name__ == "__main__":
    store, folder = sys.argv[1:]
    index.BATCH = 4
    # Run in the background, a process inherits that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print("started", flush=True)
    with TellingStore(store, write=True) as opened:
        index.index_photos(opened, ColourModel(delay=0.005), [folder])
    print("finished", flush=True)
