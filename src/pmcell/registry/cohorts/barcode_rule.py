"""Cut the sample of a cell out of its barcode, by a rule that a registration gives."""

from __future__ import annotations

import re

BARCODE_RULE = re.compile(
    r"barcode_(?P<side>prefix|suffix):(?P<sign>.+?)(?::(?P<which>first|last|[1-9]))?"
)


def cut_barcode(barcode: str, rule: str) -> str:
    """The sample in a barcode; '' where the separator is not in it.

    `rule` is `barcode_prefix:<sep>`, all before the first separator, or
    `barcode_suffix:<sep>`, all after the last. Behind the separator may stand
    which one is meant, counted from the left: `:1`, `:2`, …, `:first` or `:last`.

    >>> cut_barcode("PT01_T0_ACGT", "barcode_prefix:_"), cut_barcode("a_b_c", "barcode_suffix:_")
    ('PT01', 'c')
    >>> cut_barcode("PT01_T0_ACGT", "barcode_prefix:_:last")
    'PT01_T0'
    """
    found = BARCODE_RULE.fullmatch(rule)
    if found is None:
        raise ValueError(f"not a rule for barcodes: {rule!r}")
    side, sign = found["side"], found["sign"]
    which = found["which"] or ("first" if side == "prefix" else "last")
    parts = barcode.split(sign)
    at = {"first": 1, "last": len(parts) - 1}.get(which) or int(which if which.isdigit() else 0)
    if not 0 < at < len(parts):
        return ""
    return sign.join(parts[:at] if side == "prefix" else parts[at:])
