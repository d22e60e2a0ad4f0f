"""The last two numbers of an embedding, where a model uses them to hold back hubs."""

import numpy as np

# Squared length of the two numbers, beside the embedding's 1. With less strong corrections are
# cut; with more all cosines crowd together.
ROOM = 0.25


def as_queries(model: object, texts: np.ndarray) -> np.ndarray:
    """Return text embeddings (m, d) of `model` as they should ask for photos.

    A model that corrects hubs also holds back texts that are near to everything, so that the
    texts of one photo can be compared. Among photos for one text that changes few ranks, but it
    would make every text unlike those of training look like a sure find: it is undone here.
    """
    if not getattr(model, "corrects_hubs", False):
        return texts
    asked = texts.copy()
    asked[:, -2:] = np.sqrt(ROOM / (1 + ROOM) / 2) * np.array([1, -1])
    return asked


def uncorrected(model: object, rows: np.ndarray) -> np.ndarray:
    """Return embeddings (n, d) of `model` without the two numbers, of unit length.

    They hold photos and texts apart, which a picture of both in one space should not show.
    """
    if not getattr(model, "corrects_hubs", False):
        return rows
    shared = rows[:, :-2]
    return shared / np.linalg.norm(shared, axis=1, keepdims=True)
