"""pairlight: train, check and use a small image-text matching model on your own photos."""

from pairlight.types import Embeddings, Pair, Photo

__version__ = "0.1.0"
__all__ = ["Embeddings", "Pair", "Photo", "__version__", "load"]


def load(model: str, device: str = "auto", looks: int = 1):
    """Return a loaded model: a checkpoint file, a folder that `export` wrote, or `pretrained`.

    The result has `encode_images(paths)` and `encode_texts(texts)`, both giving
    (n, d) float32 arrays of unit length, and `encode_pixels(pixels)` for images already read.
    With `looks` of 2 or 3 an image's embedding is the mean of so many looks at it: better found, in
    as many times the time. Only checkpoints need torch. Raises `ModelError` when the file is not
    one of ours.
    """
    # Imported on call: `import pairlight` must stay under 100 ms and work without torch.
    from pairlight.embed import load_model

    return load_model(model, device=device, looks=looks)
