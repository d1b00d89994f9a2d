"""Processor seconds of a release, part by part, of a study whose steps are done.

Not part of the tests. Nothing is validated by programs of others, whose time is their own. Threads
that decode and encode beside the main one are counted where they work. Run it in turn with another
checkout (PYTHONPATH) to compare the two: a busy machine makes both slower.

Example:
  python tests/benchmarks/release/sections.py results /tmp/release
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path


def main() -> None:
    """Write the release and print one line a part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path, help="of a study")
    parser.add_argument("out", type=Path, help="folder of the release")
    args = parser.parse_args()
    from pmcell.cli.steps import release
    from pmcell.publish import write_release

    spent: dict[str, float] = {}
    part, since = "facts and atlas", time.process_time()

    def progress(name: str) -> None:
        nonlocal part, since
        now = time.process_time()
        key = part.split(" of ")[0]
        spent[key] = spent.get(key, 0.0) + now - since
        part, since = name, now

    facts = write_release(
        args.results,
        args.out,
        config={"release": {"validators": ["none"]}},
        report=release._report,
        site=release._site,
        progress=progress,
    )
    progress("")
    for key, seconds in spent.items():
        print(f"{key:<28}{seconds:8.1f} CPU s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'all, with imports':<28}{time.process_time():8.1f} CPU s, {peak:.0f} MB at the peak")
    print(f"{len(facts.published)} cohorts")


if __name__ == "__main__":
    main()
