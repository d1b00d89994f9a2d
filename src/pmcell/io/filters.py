"""HDF5 filters beyond those that HDF5 brings: zstd, blosc and lz4, from `hdf5plugin`.

A filter is native code that a file asks for. Foreign files get these three only, and load
none where they need none; they are opened inside `pmcell.io.submitted.sandbox`, after
`pmcell.io.submitted.preflight` has refused those that ask for others.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

PLUGIN_FILTERS = {"zstd": 32015, "blosc": 32001, "lz4": 32004}
"""Identifiers as registered with the HDF Group."""


def register_filters(file: Any, *, foreign: bool = False) -> None:
    """Let h5py decode zstd, blosc and lz4 where a dataset of the open `file` asks for one.

    With `foreign`, no other filter of hdf5plugin can be reached in this process afterwards.
    """
    register_filters_of(_datasets(file), foreign=foreign)


def register_filters_of(datasets: Iterable[Any], *, foreign: bool = False) -> None:
    """The same for datasets that are open."""
    numbers = (number for dataset in datasets for number in filter_numbers(dataset))
    if any(number in PLUGIN_FILTERS.values() for number in numbers):
        import hdf5plugin
        from h5py import h5z

        others = set(hdf5plugin.FILTERS.values()) - set(PLUGIN_FILTERS.values())
        for number in others if foreign else ():
            if h5z.filter_avail(number):
                h5z.unregister_filter(number)


def filter_numbers(dataset: Any) -> list[int]:
    """The identifiers of a dataset's filters in the order in which they were applied."""
    plan = dataset.id.get_create_plist()
    return [int(plan.get_filter(at)[0]) for at in range(plan.get_nfilters())]


def _datasets(file: Any) -> list[Any]:
    import h5py

    found: list[Any] = []

    def look(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            found.append(item)

    file.visititems(look)
    return found
