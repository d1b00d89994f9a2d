"""What the programmes of cohorts say that a report should tell, with their sources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pmcell.report.methods import doi_link, known

if TYPE_CHECKING:
    from pmcell.release.report_tables import Release


@dataclass(frozen=True)
class ProgrammeText:
    """A programme's text; `sources` are what they are called and their address, '' without one."""

    programme: str
    text: str
    sources: tuple[tuple[str, str], ...]


def programme_text(row: Mapping[str, Any]) -> ProgrammeText | None:
    """The text of the programme of a row of table `cohorts`; None where it says nothing."""
    text = known(row["programme_report"])
    if not text:
        return None
    named = row["programme_sources"]
    sources = tuple((str(name), doi_link(str(name))) for name in ([] if named is None else named))
    return ProgrammeText(str(row["programme"]), text, sources)


def programme_texts(release: Release) -> list[ProgrammeText]:
    """Each text once, in the order of the programmes."""
    found = map(programme_text, release["cohorts"].to_dict("records"))
    return sorted(
        {one for one in found if one is not None}, key=lambda one: (one.programme, one.text)
    )
