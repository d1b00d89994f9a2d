"""Slow and obviously right versions of the kernels: every test's oracle."""

from __future__ import annotations

import math

import numpy as np


def quantised(dense: np.ndarray) -> np.ndarray:
    """round(log1p(10,000 · count / total) · 2048), cell by cell, gene by gene."""
    out = np.zeros(dense.shape, np.int64)
    for row in range(dense.shape[0]):
        total = int(dense[row].sum())
        for gene in range(dense.shape[1]):
            if dense[row, gene]:
                out[row, gene] = round(math.log1p(10_000.0 / total * int(dense[row, gene])) * 2048)
    return out


def moments(dense: np.ndarray, batch: np.ndarray, n_batches: int) -> np.ndarray:
    """Σcount, Σcount², Σq, Σq², detected of each batch and gene."""
    q = quantised(dense)
    counts = dense.astype(np.int64)
    sums = np.zeros((n_batches, dense.shape[1], 5), np.int64)
    for at in range(n_batches):
        own = batch == at
        sums[at] = np.stack(
            [
                counts[own].sum(0),
                (counts[own] ** 2).sum(0),
                q[own].sum(0),
                (q[own] ** 2).sum(0),
                (counts[own] > 0).sum(0),
            ],
            axis=1,
        )
    return sums


def gram(dense: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Σq and Σq·q' of the features."""
    q = quantised(dense)[:, features]
    return q.sum(0), q.T @ q


def nearest(points: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """k nearest other points by all distances; ties go to the lower position."""
    difference = points[:, None, :].astype(np.float64) - points[None].astype(np.float64)
    distance = np.sqrt((difference**2).sum(-1))
    np.fill_diagonal(distance, np.inf)
    order = np.argsort(distance, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(distance, order, axis=1)


def partition_quality(
    weights: np.ndarray, labels: np.ndarray, resolution: float, objective: str
) -> float:
    """Σ over pairs in one community of weight minus what is expected, by the total weight."""
    total = float(weights.sum())
    if total == 0:
        return 0.0
    sizes = weights.sum(1) if objective == "modularity" else np.ones(len(weights))
    rate = resolution / total if objective == "modularity" else resolution
    quality = 0.0
    for one in range(len(weights)):
        for other in range(len(weights)):
            if labels[one] == labels[other]:
                quality += float(weights[one, other]) - rate * sizes[one] * sizes[other]
    return quality / total


def best_partition_quality(weights: np.ndarray, resolution: float, objective: str) -> float:
    """The best quality over all partitions, each written once (restricted growth strings)."""

    def partitions(labels: list[int]) -> float:
        if len(labels) == len(weights):
            return partition_quality(weights, np.array(labels), resolution, objective)
        return max(partitions([*labels, at]) for at in range(max(labels, default=-1) + 2))

    return partitions([])
