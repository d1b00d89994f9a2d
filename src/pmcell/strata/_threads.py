"""Dense algebra on one thread each, for the same bits; independent draws on all threads."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Item = TypeVar("Item")


def single_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run `function` with one BLAS thread: a sum split over threads rounds differently."""

    @functools.wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return wrapper


def in_order(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """`function` of each item, on as many threads as numba may use; results in the items' order.

    The function must write nothing that another item reads. Most of its time
    must be spent in numpy, which lets other threads run.
    """
    from concurrent.futures import ThreadPoolExecutor

    from pmcell.core.compiler import thread_count

    with ThreadPoolExecutor(max(thread_count(), 1)) as pool:
        return list(pool.map(function, items))
