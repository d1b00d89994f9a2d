"""The catalogue of a release: a few static pages that work from a folder, offline.

What changes with the bytes of other files (sizes, the description with its
digests) stands between `<!--layout-->` marks, which the content digest of a
page leaves out.
"""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from pmcell.io.atomic import write_text
from pmcell.report.sections import asset
from pmcell.report.site.build import build
from pmcell.report.site.extras import Extras

__all__ = ["Extras", "build", "write_site"]

ASSETS = ("site.css", "site.js", "map.js", "genes.js")


def write_site(
    release: Path | str, out: Path | str | None = None, *, extras: Extras | None = None
) -> Path:
    """Write the catalogue of a release folder; give the path of its landing page.

    `out` is the folder of the site (default: `site` in the release). Raises
    `UsageError` where the folder is no release and `DataError` where a table
    breaks the contract; nothing is written then.
    """
    folder = Path(release)
    target = folder / "site" if out is None else Path(out)
    pages = build(folder, extras or Extras())
    for name in ASSETS:
        pages[name] = (files("pmcell.report.site") / "templates" / name).read_text("utf-8")
    pages["site.css"] = asset("parts.css") + pages["site.css"] + asset("reflow.css")
    pages["site.js"] += asset("tables.js")
    for name, text in sorted(pages.items()):
        write_text(target / name, text)
    return target / "index.html"
