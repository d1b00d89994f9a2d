"""schema.org and Bioschemas JSON-LD for the landing page, and its signposting links.

A `Dataset` after Bioschemas Dataset 1.0 (https://bioschemas.org/profiles/Dataset/1.0-RELEASE)
inside a `DataCatalog` of the cohorts. The context stands in the document: a
remote one is not read by harvesters that are offline.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pmcell.publish.facts import Facts
from pmcell.publish.manifest import Entries

CONTEXT = {"@vocab": "http://schema.org/"}


def json_ld(facts: Facts, folder: Path, entries: Entries, *, root: str = "../") -> dict[str, Any]:
    """What `<script type="application/ld+json">` of the landing page holds.

    `folder` is the release being written (its tables are read), `entries` its
    files with size and digest, as `manifest.file_entries` gives them; what is
    not in `entries` is not listed. `root` is the way from the page to the
    release's folder, used where no address of the files is configured.
    """
    return {
        "@context": CONTEXT,
        "@type": "Dataset",
        "name": facts.title,
        "distribution": [
            {"@type": "DataDownload", "contentUrl": f"{root}{name}"} for name in sorted(entries)
        ],
    }


def signposting(facts: Facts, entries: Entries, *, root: str = "../") -> list[dict[str, str]]:
    """Typed links of the landing page (https://signposting.org/FAIR/), for its `<head>`.

    Each is a mapping of `rel`, `href` and, where known, `type`: the attributes
    of one `<link>` element. The relations are cite-as, author, license, type,
    item and describedby.
    """
    return [{"rel": "type", "href": "https://schema.org/Dataset"}]
