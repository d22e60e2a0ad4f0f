"""Fits a small logistic regression."""

import numpy as np

_STEPS = 100


def fit_logistic(found: np.ndarray, truth: np.ndarray, ridge: float = 1e-3) -> tuple:
    """Return weights (s,) and the bias under which signals (m, s) best explain `truth` (m,) bool.

    Penalised maximum likelihood by Newton's method, on standardised signals.
    """
    centre, scale = found.mean(axis=0), np.maximum(found.std(axis=0), 1e-9)
    design = np.concatenate([(found - centre) / scale, np.ones((len(found), 1))], axis=1)
    penalty = len(found) * np.array([ridge] * found.shape[1] + [1e-9])
    theta = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        guess = 0.5 * (1 + np.tanh(0.5 * (design @ theta)))
        gradient = design.T @ (guess - truth) + penalty * theta
        bend = (design * (guess * (1 - guess))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(bend, gradient)
        # Far from the optimum the curvature is nearly nil, and a full step would leap past it.
        theta -= step / max(1.0, float(np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    weights = theta[:-1] / scale
    return weights, float(theta[-1] - weights @ centre)
