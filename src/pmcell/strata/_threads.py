"""Small dense algebra on one thread: faster for donor-sized matrices, and the same bits."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def single_thread(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Run `function` with one BLAS thread: a sum split over threads rounds differently."""

    @functools.wraps(function)
    def wrapper(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        from threadpoolctl import threadpool_limits

        with threadpool_limits(limits=1, user_api="blas"):
            return function(*args, **kwargs)

    return wrapper
