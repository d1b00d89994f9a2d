"""What the catalogue shows that the release's tables do not hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Extras:
    """Facts of the publisher; all may be absent.

    `json_ld` is the schema.org description for the landing page; `links` are
    its signposting links as (relation, address, media type); `people` has
    steward, publisher and purpose by cohort, `policy` access body, legal basis, permit,
    retention and what withdrawal means; `prose` a sentence by file.
    """

    description: str = ""
    json_ld: str = ""
    links: tuple[tuple[str, str, str], ...] = ()
    people: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    policy: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    prose: Mapping[str, str] = field(default_factory=dict)
