"""People and organisations behind a release, as every document that names them sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Organisation:
    """An organisation; what is not known is ''. `role` is that of a contributor."""

    name: str
    url: str = ""
    ror: str = ""
    email: str = ""
    role: str = ""

    @property
    def address(self) -> str:
        """Its page, else its ROR id."""
        return self.url or self.ror


@dataclass(frozen=True)
class Person:
    """A person; `name` is always given, its parts only where they are known."""

    name: str
    given_name: str = ""
    family_name: str = ""
    orcid: str = ""
    email: str = ""
    affiliation: Organisation | None = None
    role: str = ""

    @property
    def address(self) -> str:
        """The ORCID iD."""
        return self.orcid

    @property
    def sorted_name(self) -> str:
        """Family name first, where the parts are known."""
        return ", ".join(filter(None, (self.family_name, self.given_name))) or self.name


Agent = Person | Organisation


def read_agent(entry: Mapping[str, object]) -> Agent:
    """Return the person or organisation that an entry of a configuration file describes.

    Parameters
    ----------
    entry
        Keys `name`, or `given_name` and `family_name`, and what else is known:
        `orcid`, `affiliation`, `affiliation_url`, `ror`, `url`, `email`, `role`.

    Returns
    -------
    Person or Organisation
        A person, where the entry has what only a person has: ORCID iD, family
        name or affiliation, of which `ror` is then the id.

    Examples
    --------
    >>> read_agent({"given_name": "Ada", "family_name": "Lovelace"}).name
    'Ada Lovelace'
    >>> read_agent({"name": "Institute of Cells"})
    Organisation(name='Institute of Cells', url='', ror='', email='', role='')
    """
    known = {key: str(value) for key, value in entry.items() if value}
    parts = filter(None, (known.get("given_name"), known.get("family_name")))
    name = known.get("name") or " ".join(parts)
    email, role, ror = (known.get(key, "") for key in ("email", "role", "ror"))
    if not any(known.get(key) for key in ("orcid", "affiliation", "family_name")):
        return Organisation(name, known.get("url", ""), ror, email, role)
    group = known.get("affiliation")
    return Person(
        name,
        given_name=known.get("given_name", ""),
        family_name=known.get("family_name", ""),
        orcid=known.get("orcid", ""),
        email=email,
        affiliation=Organisation(group, known.get("affiliation_url", ""), ror) if group else None,
        role=role,
    )


def read_organisation(entry: Mapping[str, object]) -> Organisation:
    """Return the organisation, or the desk, that an entry with `name`, `url`, `email` describes."""
    known = {key: str(entry.get(key) or "") for key in ("name", "url", "ror", "email")}
    return Organisation(**known)
