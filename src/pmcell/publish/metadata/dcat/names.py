"""What the things of a DCAT record are called: IRIs, the same in each run.

Where the address of its files is configured they are absolute, else relative to
the record, and so true wherever the folder lies.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from urllib.parse import quote

from rdflib import URIRef

from pmcell.publish.facts import Facts
from pmcell.publish.metadata.attribution import address, iri
from pmcell.release.digest import combined_sha256
from pmcell.release.manifest import Entries

RECORD = "dcat.ttl"
CONTENT = ("cells/", "tables/", "reference/", "donors.h5ad", "strata.json")


@dataclass(frozen=True)
class Names:
    """`release` is the dataset of the whole; `base` begins the IRIs of files, '' for relative."""

    release: URIRef
    identifier: str
    base: str

    def node(self, name: str) -> URIRef:
        """The IRI of a thing that only the record names."""
        return URIRef(f"{self.base}{RECORD if self.base else ''}#{quote(name)}")

    def file(self, name: str) -> URIRef:
        """The IRI of a file of the release."""
        return URIRef(f"{self.base}{quote(name)}")


def names_of(facts: Facts, entries: Entries) -> Names:
    """The names in the record of a release whose files so far are `entries`.

    Its identifier is its DOI or address; without one, a UUID of its content
    (version 5, RFC 9562), which no other content has.
    """
    base = f"{iri(facts.options.files_url.rstrip('/'))}/" if facts.options.files_url else ""
    found = address(facts)
    if found:
        return Names(URIRef(iri(found)), found, base)
    content = {
        name: entry["content_sha256"] for name, entry in entries.items() if name.startswith(CONTENT)
    }
    own = uuid.uuid5(uuid.NAMESPACE_OID, f"{facts.title} {combined_sha256(content)}")
    return Names(URIRef("./"), own.urn, base)
