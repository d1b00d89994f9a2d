"""Numbers as text that a page on disk can load: quantised, packed, base64 in a script.

A page opened from a folder may load scripts, but may not fetch files.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

TOP_LEVEL = 14
"""Levels of expression above zero."""

NOT_MEASURED = 15
"""The level of a gene that the cell's cohort did not measure: unknown, not zero."""

_SPAN = 65_535


def script(key: str, value: Any) -> str:
    """A script that puts `value` at `pmcellData[key]`."""
    text = json.dumps(value, separators=(",", ":"), sort_keys=True)
    return f"(self.pmcellData=self.pmcellData||{{}})[{json.dumps(key)}]={text};\n"


def places(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Coordinates as 16-bit numbers on one scale, y upwards, with the largest of each."""
    low = np.array([x.min(), y.min()]) if x.size else np.zeros(2)
    span = float(max(np.ptp(x), np.ptp(y))) if x.size else 0.0
    scaled = [
        np.round((values - start) * (_SPAN / (span or 1.0))).astype("<u2")
        for values, start in zip((x, y), low, strict=True)
    ]
    width, height = (int(values.max()) if x.size else 0 for values in scaled)
    return {"x": encode(scaled[0]), "y": encode(scaled[1]), "width": width, "height": height}


def codes(values: pd.Series[Any], names: list[str]) -> dict[str, Any]:
    """Positions in `names`, one byte each, two from 256 names on."""
    position = {name: index for index, name in enumerate(names)}
    lookup = np.array([position[str(name)] for name in values.cat.categories], dtype="<u2")
    numbers = lookup[values.cat.codes.to_numpy()] if len(values) else lookup[:0]
    wide = len(names) > 255
    return {"bytes": 2 if wide else 1, "codes": encode(numbers.astype("<u2" if wide else "u1"))}


def levels(values: np.ndarray) -> tuple[str, float]:
    """Expression of one gene as half bytes, and the value of the highest level.

    0 is no count; 1 to 14 rise evenly to the 99th percentile of the cells with
    a count; 15 is not measured (NaN in `values`).
    """
    positive = values[values > 0]
    top = float(np.quantile(positive, 0.99)) if positive.size else 0.0
    scaled = np.ceil(np.nan_to_num(values) * (TOP_LEVEL / (top or 1.0)))
    level = np.clip(scaled, 0, TOP_LEVEL).astype(np.uint8)
    level[np.isnan(values)] = NOT_MEASURED
    padded = np.append(level, np.zeros(len(level) % 2, np.uint8))
    return encode(padded[0::2] | padded[1::2] << 4), round(top, 3)


def encode(values: np.ndarray) -> str:
    """Base64 of the values' bytes."""
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
