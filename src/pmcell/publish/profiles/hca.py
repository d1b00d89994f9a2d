"""One cohort of a release in the profile of the Human Cell Atlas (schema 1.0.0), on request.

The same cells as `cells/<cohort>.h5ad`, but the two schemas exclude each
other: HCA wants the organism in obs and forbids ethnicity. What HCA asks for
beyond pmcell's own columns comes from a table of samples or is given once for
all; what is missing is told all at once, never invented.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io import h5ad
from pmcell.registry.cohorts.registered import is_cohort_id
from pmcell.release.folder import ReleaseFolder
from pmcell.schema.text import as_text

if TYPE_CHECKING:
    import pandas as pd

_FREE = r"\S.*"
_CELLS = r"CL:\d{7}[+-]"


def _one_of(*values: str) -> str:
    return "|".join(re.escape(value) for value in values)


FIELDS: Mapping[str, tuple[str, str]] = {
    "library_id": ("name of the library, unique in the cohort", _FREE),
    "institute": ("institute that made the sample", _FREE),
    "alignment_software": ("program that aligned the reads, with its version", _FREE),
    "manner_of_death": (
        "Hardy scale 0 to 4, unknown, or not applicable for living donors",
        _one_of("0", "1", "2", "3", "4", "unknown", "not applicable"),
    ),
    "sample_source": (
        "surgical donor, postmortem donor or living organ donor",
        _one_of("surgical donor", "postmortem donor", "living organ donor"),
    ),
    "sample_collection_method": (
        "brush, scraping, biopsy, surgical resection, blood draw, body fluid or other",
        _one_of(
            *("brush", "scraping", "biopsy", "surgical resection"),
            *("blood draw", "body fluid", "other"),
        ),
    ),
    "sampled_site_condition": (
        "healthy, diseased or adjacent",
        _one_of("healthy", "diseased", "adjacent"),
    ),
    "sample_preservation_method": (
        "fresh, ambient temperature, cut slide, paraffin block, frozen at -70C, -80C or -150C, "
        "frozen in liquid nitrogen or in vapor phase, RNAlater at 4C, 25C or -20C, or other",
        _one_of(
            *("fresh", "ambient temperature", "cut slide", "paraffin block", "other"),
            *("frozen at -70C", "frozen at -80C", "frozen at -150C"),
            *("frozen in liquid nitrogen", "frozen in vapor phase"),
            *("RNAlater at 4C", "RNAlater at 25C", "RNAlater at -20C"),
        ),
    ),
    "sequenced_fragment": (
        "3 prime tag, 5 prime tag, full length or probe-based",
        _one_of("3 prime tag", "5 prime tag", "full length", "probe-based"),
    ),
    "reference_genome": ("GRCh38 or GRCh37", _one_of("GRCh38", "GRCh37")),
    "cell_enrichment": (
        "CL terms with + or -, joined by ';', or na",
        f"{_CELLS}(;{_CELLS})*|na",
    ),
    "gene_annotation_version": (
        "Ensembl or GENCODE release such as v110, or GCF_000001405.40",
        r"v[1-9]\d{1,2}|GCF_000001405\.[1-9]\d*",
    ),
}
"""What HCA asks for beyond pmcell's columns: meaning, and the pattern of its values."""

FORBIDDEN = ("self_reported_ethnicity_ontology_term_id",)


def export_hca(
    release: Path,
    cohort_id: str,
    target: Path,
    *,
    samples: Path | None = None,
    constants: Mapping[str, str] | None = None,
    study_pi: Sequence[str] = (),
) -> None:
    """Write a published cohort in the HCA profile to `target`.

    `samples` is a TSV with a column `sample_id` and columns of `FIELDS`, such
    as the cohort's own samples.tsv; `constants` gives a field once for all
    samples. Raises `UsageError` where there is no such cohort or field,
    `FaultsError` with everything that is missing or not allowed.
    """
    import h5py
    from anndata.io import read_elem

    folder, source = ReleaseFolder(release), f"cells/{cohort_id}.h5ad"
    if not is_cohort_id(cohort_id) or not folder.has(source):
        names = folder.names("cells", ".h5ad")
        known = ", ".join(Path(name).stem for name in names) or "none: is it a release?"
        raise UsageError(
            f"COHORT must be one that {release} has cells of; {cohort_id!r} is not, of {known}"
        )
    constants = dict(constants or {})
    if unknown := sorted(set(constants) - set(FIELDS)):
        raise UsageError(f"--set must name one of {', '.join(FIELDS)}; got {', '.join(unknown)}")
    with folder.hdf5(source) as file:
        obs, uns = read_elem(file["obs"]), read_elem(file["uns"])
        organism = str(uns.pop("organism_ontology_term_id"))
        sample_ids = as_text(obs["sample_id"])
    table = _fields(sample_ids.unique(), cohort_id, samples, constants)
    if faults := list(_faults(table, samples, study_pi)):
        raise FaultsError(faults)
    obs = obs.drop(columns=[name for name in FORBIDDEN if name in obs])
    obs["organism_ontology_term_id"] = organism
    for name in FIELDS:
        obs[name] = sample_ids.map(table[name])
    with (
        h5py.File(folder.place(source), "r", locking=False) as file,
        h5ad.create_h5ad(target) as copy,
    ):
        for name in ("X", "raw", "var", "obsm"):
            if name in copy:
                del copy[name]
            file.copy(name, copy)
        h5ad.write_frame(copy, "obs", obs, index="cell_id")
        h5ad.write_value(copy, "uns", {**uns, "study_pi": np.array(list(study_pi), object)})


def _fields(
    sample_ids: Sequence[str], cohort_id: str, samples: Path | None, constants: Mapping[str, str]
) -> pd.DataFrame:
    """One row a sample, one column a field; empty where nobody gave a value."""
    import pandas as pd

    table = pd.DataFrame("", index=[str(name) for name in sample_ids], columns=list(FIELDS))
    if samples is not None:
        try:
            given = pd.read_csv(samples, sep="\t", dtype=str, keep_default_na=False)
        except (ValueError, OSError) as error:
            raise UsageError(
                f"--samples must be a tab-separated table in UTF-8; reading {samples} failed "
                f"({error}). Save it so."
            ) from error
        if "sample_id" not in given:
            raise UsageError(f"--samples must be a TSV with a column sample_id; {samples} has none")
        # In a release a sample bears its cohort's id; a steward's own table does not.
        given.index = pd.Index(
            [name if ":" in name else f"{cohort_id}:{name}" for name in given["sample_id"]]
        )
        given = given[~given.index.duplicated()]
        for name in table.columns.intersection(given.columns):
            table[name] = given[name].reindex(table.index).fillna("")
    for name, value in constants.items():
        table[name] = value
    return table


def _faults(table: pd.DataFrame, samples: Path | None, study_pi: Sequence[str]) -> Iterator[Fault]:
    file = samples.name if samples else "--samples FILE"
    for name, (meaning, pattern) in FIELDS.items():
        values = table[name].str.strip()
        for value, rows in values.groupby(values):
            if value and re.fullmatch(pattern, str(value)):
                continue
            some = ", ".join(rows.index[:3]) + (", …" if len(rows) > 3 else "")
            found = (
                f"{value!r} for {some}" if value else f"nothing for {len(rows)} samples ({some})"
            )
            fix = f"Add it to the table of samples, or give it once: --set {name}=VALUE."
            yield Fault(file, f"must be {meaning}", found, fix, column=name, reason="hca")
    if not [name for name in study_pi if name.strip()]:
        must = "must name the principal investigators (uns.study_pi)"
        yield Fault("--study-pi", must, "nobody", "Give --study-pi NAME.", reason="hca")
