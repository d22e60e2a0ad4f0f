"""Collects dataset items into batches, in threads beside training."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from pairlight.data.dataset import CaptionedPhotos, Item
from pairlight.errors import DataError
from pairlight.threads import map_ahead
from pairlight.types import Batch

Pad = Callable[[list[list[int]]], tuple[torch.Tensor, torch.Tensor]]


def collate(items: list[Item], pad: Pad) -> Batch | None:
    """Return the batch of the items that are there; None when fewer than two are.

    A lost image takes its captions with it: one bad file never stops a run.
    """
    good = [item for item in items if item is not None]
    if len(good) < 2:
        return None
    pixels = torch.from_numpy(np.stack([pixels for pixels, _ in good])).permute(0, 3, 1, 2)
    drawn = [each for _, captions in good for each in captions]
    counts = torch.tensor([len(captions) for _, captions in good])
    owner = torch.repeat_interleave(torch.arange(len(good)), counts)
    tokens, mask = pad([ids for _, ids in drawn])
    return Batch(pixels, tokens, mask, owner, torch.tensor([number for number, _ in drawn]))


def epoch_loader(
    dataset: CaptionedPhotos, batches: list[list[int]], epoch: int, pad: Pad, threads: int
) -> Iterator[Batch]:
    """Yield the epoch's batches; batches whose images are lost are passed over.

    Raises `DataError` when not one batch could be read.
    """
    read = 0
    keys = [[(epoch, index) for index in batch] for batch in batches]
    for items in map_ahead(dataset.__getitem__, keys, threads):
        batch = collate(items, pad)
        if batch is not None:
            read += 1
            yield batch
    if not read:
        raise DataError("no training image could be read; were the photos moved?")
