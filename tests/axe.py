"""axe-core, the engine that looks for barriers in pages, where it is installed.

`npm install axe-core` brings it; PMCELL_AXE names its file `axe.min.js`.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from browser import Browser

PLACE = os.environ.get("PMCELL_AXE", "")
TAGS = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")
"""Web Content Accessibility Guidelines 2.2 at level AA, and what axe recommends besides."""


def is_here() -> bool:
    """Whether axe-core can be run."""
    return bool(PLACE) and Path(PLACE).is_file()


@cache
def _script() -> str:
    return Path(PLACE).read_text(encoding="utf-8")


def barriers(tab: Browser) -> list[str]:
    """What axe finds wrong with the page of a tab: rule, how grave, first place, why."""
    tab.eval(f"{_script()};0")
    options = json.dumps({"runOnly": {"type": "tag", "values": TAGS}})
    found: list[dict[str, Any]] = json.loads(
        tab.eval(
            f"axe.run(document, {options}).then(r => JSON.stringify(r.violations.map(v => "
            "({id: v.id, impact: v.impact, help: v.help, n: v.nodes.length, "
            "html: v.nodes[0].html.slice(0, 200), why: v.nodes[0].failureSummary}))))"
        )
    )
    return [
        f"{item['id']} ({item['impact']}, {item['n']}): {item['help']}: {item['html']} "
        f"{item['why']}"
        for item in found
    ]
