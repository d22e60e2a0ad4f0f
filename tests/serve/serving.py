"""What tests of the server share: pictures, a model that can be held back, a server on a port."""

import contextlib
import threading

from colours import ColourModel, paint

from pairlight.search.calibration import Calibration
from pairlight.search.vocabulary import Vocabulary
from pairlight.serve.run import address_of, listen, server_of

TOKEN = "a-token-of-many-letters"
# A score over 0.5 is likely right, one below is not.
KNOWN = Vocabulary.of(["something red, blue or green at sea"] * 30)
CALIBRATION = Calibration((20.0, 0.0, 0.0, 0.0, 0.0, 0.0), -10.0, 0.6, KNOWN).to_dict()


class HeldModel(ColourModel):
    """Sees colours, and once held back, takes its time until it is let go."""

    def __init__(self):
        super().__init__()
        self.free = threading.Event()
        self.free.set()

    def encode_texts(self, texts):
        assert self.free.wait(60)
        return super().encode_texts(texts)


def paint_all(folder):
    paint(folder / "red.png", "red")
    paint(folder / "green.png", "green", size=(900, 600))
    paint(folder / "sea" / "blue.png", "blue")
    paint(folder / "sea" / "flag.png", "blue", "white", "red")
    return folder


@contextlib.contextmanager
def on_a_port(app, settings):
    """Serve `app` on a free port and give the address."""
    with listen(settings) as listener:
        server = server_of(app, settings)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            yield address_of(listener, settings)
        finally:
            server.should_exit = True
            thread.join(30)
