"""Disease programmes: one YAML file each in config/programmes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pmcell.errors import Fault, FaultsError
from pmcell.registry.cohorts.yaml_text import read_yaml
from pmcell.registry.terms.ontology import is_under


@dataclass(frozen=True)
class Programme:
    """A disease programme and the terms of its diseases (MONDO, or PATO:0000461).

    `health_theme` is the code of HealthDCAT-AP that fits its cohorts, or ''.
    """

    programme_id: str
    title: str
    description: str
    diseases: tuple[str, ...]
    health_theme: str = ""


def load_programmes(folder: Path | str) -> list[Programme]:
    """The programmes of a folder, by file name; `FaultsError` names a file that is wrong."""
    faults: list[Fault] = []
    programmes = []
    for path in sorted(Path(folder).glob("*.yaml")):
        tree = read_yaml(path, faults, may_lead_out=True).tree
        terms = tree.get("disease_ontology_term_ids")
        if tree.get("id") != path.stem or not isinstance(terms, list):
            must = "must have its file's name as id, and a list disease_ontology_term_ids"
            fix = "See the other programmes."
            faults.append(Fault(path.name, must, repr(tree.get("id")), fix))
            continue
        programmes.append(
            Programme(
                path.stem,
                str(tree.get("title", path.stem)),
                str(tree.get("description", "")),
                tuple(str(term) for term in terms),
                str(tree.get("health_theme", "")),
            )
        )
    if faults:
        raise FaultsError(faults)
    return programmes


def programme_of(diseases: set[str], programmes: list[Programme]) -> str | None:
    """The one programme that the most of `diseases` fall under, healthy donors aside."""
    counted = {
        programme.programme_id: sum(is_under(term, programme.diseases) for term in diseases)
        for programme in programmes
    }
    patients = {name: n for name, n in counted.items() if n and name != "healthy"}
    counted = patients or {name: n for name, n in counted.items() if n}
    best = [name for name, n in counted.items() if n == max(counted.values())]
    return best[0] if len(best) == 1 else None
