"""The audit of a release's tables: what a reader of the files could learn of withheld donors.

It reads what was written and counts again; it calls nothing of `redact`, so that a fault
there is found here. A table over donors of several cohorts that nobody wrote an audit for
must be empty once a cohort is withheld.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pmcell.errors import Fault
from pmcell.io.tables import read_table
from pmcell.io.verdict import read_verdict
from pmcell.publish.disclosure.attack import small_cohort_faults, small_group_faults
from pmcell.publish.disclosure.hidden import Hidden
from pmcell.publish.disclosure.rules import totals_of_few
from pmcell.publish.facts import Facts
from pmcell.schema import TABLES
from pmcell.schema.disclosure import DESCRIPTION, INDIVIDUAL, VECTOR

if TYPE_CHECKING:
    import pandas as pd

REWRITE = "Report this: a writer of the release let it through."
WITHOUT_WITHHELD = "must be made without withheld donors: no threshold on donors protects it"
COHORTS_FILE = "tables/cohorts.parquet"
COUNTED = ("n_donors_used", "n_visits", "visits", "stability", "consensus_histogram")
"""Keys of strata.json that count visits, pairs or single strata."""


@dataclass(frozen=True)
class Audit:
    """A release on disk, and who is withheld from it."""

    facts: Facts
    folder: Path
    hidden: Hidden

    def read(self, name: str, columns: list[str] | None = None) -> pd.DataFrame:
        """A table of the release."""
        return read_table(self.path(name), columns)

    def path(self, name: str) -> Path:
        """The file of a table."""
        return self.folder / "tables" / f"{name}.parquet"

    def n_rows(self, name: str) -> int:
        """How many rows a table has."""
        import pyarrow.parquet as pq

        return int(pq.read_metadata(self.path(name)).num_rows)

    @property
    def closed(self) -> frozenset[str]:
        """Registered cohorts without open access."""
        return frozenset(cohort.cohort_id for cohort in self.facts.cohorts if not cohort.is_open)


Check = Callable[[Audit], Iterator[Fault]]


def table_faults(audit: Audit) -> Iterator[Fault]:
    """Tables that tell of withheld donors, or of strata that are not published."""
    for table in TABLES:
        if table.disclosure is None or not audit.path(table.name).is_file():
            continue
        yield from _id_faults(audit, table.name)
        if not audit.facts.has_strata:
            yield from _label_faults(audit, table.name)
        if table.name in CHECKS:
            yield from CHECKS[table.name](audit)
        elif audit.facts.withheld and table.disclosure.kind not in (INDIVIDUAL, DESCRIPTION):
            yield from _row_faults(audit, table.name, table.disclosure.kind)


def verdict_faults(audit: Audit) -> Iterator[Fault]:
    """Numbers in strata.json from which a few withheld donors follow."""
    if not audit.facts.withheld:
        return
    hidden, shown = audit.hidden, read_verdict(audit.folder / "strata.json")
    left_out = [len(hidden.donors) - len(hidden.used), len(hidden.placed) - len(hidden.used)]
    if any(hidden.is_few(number) for number in left_out):
        counted = (shown.n_donors, shown.existence and shown.existence.n_donors)
        if any(number is not None for number in counted):
            must = f"must not tell of fewer than {hidden.rules.strictest} withheld donors"
            found = "a number of donors that leaves out a few of them"
            yield Fault("strata.json", must, found, REWRITE, column="n_donors", reason="few_donors")
    told = sorted({path for path in _keys(shown.as_json()) if path in COUNTED})
    if told:
        must = "must not count visits, pairs or single strata once a cohort is withheld"
        yield Fault("strata.json", must, ", ".join(told), REWRITE, reason="few_donors")


def _keys(value: object) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield str(key)
            yield from _keys(item)


def _id_faults(audit: Audit, name: str) -> Iterator[Fault]:
    """No column of text holds an id of a cohort without open access, whatever its name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    prefixes = tuple(f"{cohort}:" for cohort in sorted(audit.closed))
    if not prefixes:
        return
    found: dict[str, set[str]] = {}
    with audit.path(name).open("rb") as stream:
        file = pq.ParquetFile(stream)
        texts = [field.name for field in file.schema_arrow if pa.types.is_string(field.type)]
        # By batches: of many donors the sums of samples and genes do not fit in memory.
        for batch in file.iter_batches(columns=texts) if texts else ():
            for column, values in zip(batch.schema.names, batch.columns, strict=True):
                told = map(str, values.unique().to_pylist())
                found.setdefault(column, set()).update(
                    value for value in told if value.startswith(prefixes)
                )
    must = "must hold rows of cohorts with open access only"
    for column, hidden in found.items():
        if hidden:
            file_name, others = f"tables/{name}.parquet", f"{len(hidden)} others"
            yield Fault(file_name, must, others, REWRITE, column=column, reason="rows")


def _label_faults(audit: Audit, name: str) -> Iterator[Fault]:
    """No column tells of a stratum where strata are not published."""
    import pyarrow.parquet as pq

    columns = [column for column in pq.read_schema(audit.path(name)).names if "stratum" in column]
    must = f"must hold no stratum, because the decision is {audit.facts.strata.decision!r}"
    for column in columns:
        n_told = int(audit.read(name, [column])[column].notna().sum())
        if n_told:
            file, found = f"tables/{name}.parquet", f"{n_told} labels"
            yield Fault(file, must, found, REWRITE, column=column, reason="strata")


def _row_faults(audit: Audit, name: str, kind: str) -> Iterator[Fault]:
    n_rows = audit.n_rows(name)
    if n_rows:
        found = f"{n_rows} rows over donors of all cohorts"
        reason = "vector" if kind == VECTOR else "rows"
        yield Fault(f"tables/{name}.parquet", WITHOUT_WITHHELD, found, REWRITE, reason=reason)


def _cohorts(audit: Audit) -> Iterator[Fault]:
    """No small cohort counted, no cells mostly of two donors, no samples of which few have more."""
    yield from small_cohort_faults(audit.folder / "tables", audit.hidden.rules)
    told = audit.read("cohorts").set_index("cohort_id")
    rules = audit.hidden.rules
    for cohort in audit.facts.withheld:
        samples = cohort.sample_counts
        samples = samples[samples["n_cells"] > 0]
        n_several = int((samples.groupby("donor_id", observed=True).size() > 1).sum())
        is_told = told.loc[cohort.cohort_id].notna()
        if is_told["n_samples"] and 0 < n_several < rules.of(cohort.cohort_id):
            must = f"must not tell of fewer than {rules.of(cohort.cohort_id)} donors"
            found = f"{cohort.cohort_id}: {n_several} donors have several samples"
            yield Fault(COHORTS_FILE, must, found, REWRITE, column="n_samples", reason="few_donors")
        for column in sorted(totals_of_few(cohort.sample_counts, rules)):
            if is_told[column]:
                must = "must not tell of cells of which one or two donors have most"
                found = cohort.cohort_id
                yield Fault(COHORTS_FILE, must, found, REWRITE, column=column, reason="few_donors")


def _genes(audit: Audit) -> Iterator[Fault]:
    """Cells counted as in the published pseudobulk; no choice of genes over all cohorts."""
    if not audit.facts.withheld:
        return
    genes = audit.read("genes")
    for column in ("hvg_rank", "is_highly_variable", "highly_variable_in"):
        if genes[column].notna().any():
            found = f"{int(genes[column].notna().sum())} values over all cohorts"
            yield _vector("genes", found, column)
    shown = audit.read("pseudobulk", ["gene_id", "n_cells_detected"])
    own = shown.groupby("gene_id")["n_cells_detected"].sum()
    told = genes.set_index("gene_id")["n_cells_detected"]
    n_other = int((told - own.reindex(told.index, fill_value=0) != 0).sum())
    if n_other:
        yield _vector("genes", f"{n_other} genes with other counts than the published pseudobulk")


def _clusters(audit: Audit) -> Iterator[Fault]:
    """Cells and donors counted as in the published cells."""
    if not audit.facts.withheld:
        return
    cells = audit.read("cells", ["cluster", "donor_id"]).dropna(subset=["cluster"])
    own = cells.groupby("cluster")["donor_id"].agg(["size", "nunique"])
    told = audit.read("clusters", ["cluster", "n_cells", "n_donors"]).set_index("cluster")
    own = own.reindex(told.index, fill_value=0)
    n_other = int((told.to_numpy() != own.to_numpy()).any(axis=1).sum())
    if n_other:
        yield _vector("clusters", f"{n_other} clusters with other counts than the published cells")


def _markers(audit: Audit) -> Iterator[Fault]:
    """Shares inside and outside a cluster that add up to the gene's published cells."""
    markers = audit.read("markers", ["cluster", "gene_id", "share_in", "share_out"])
    if not audit.facts.withheld or markers.empty:
        return
    clusters = audit.read("clusters", ["cluster", "n_cells"]).set_index("cluster")["n_cells"]
    genes = audit.read("genes", ["gene_id", "n_cells_detected"]).set_index("gene_id")
    measured = _cells_that_measured(audit)
    inside = markers["cluster"].map(clusters).to_numpy(float)
    if measured is None:
        return
    outside = measured - inside
    told = markers["share_in"] * inside + markers["share_out"] * outside
    own = markers["gene_id"].map(genes["n_cells_detected"])
    n_other = int((np.abs(told - own) > 0.5).sum())
    if n_other:
        yield _vector("markers", f"{n_other} shares of other cells than the published ones")


def _cells_that_measured(audit: Audit) -> int | None:
    """Published cells; None where some of them did not measure every gene, so shares differ."""
    genes = audit.read("genes", ["measured_in"])["measured_in"]
    published = {cohort.cohort_id for cohort in audit.facts.published}
    if not all(published <= set(cohorts) for cohorts in genes):
        return None
    return int(audit.read("cells", ["passes_qc"])["passes_qc"].sum())


def _strata(audit: Audit) -> Iterator[Fault]:
    """No stratum described, nor its stability given, from a few withheld donors."""
    hidden = audit.hidden
    rows = audit.read("strata").set_index("stratum")
    for name, donors in hidden.strata.items():
        if name not in rows.index or not hidden.is_few(len(donors)):
            continue
        is_told = {
            "description": str(rows.at[name, "description"]) != "withheld",
            "stability": bool(np.isfinite(rows.at[name, "stability"])),
        }
        for column in (column for column, told in is_told.items() if told):
            must = f"must not be described from fewer than {hidden.rules.strictest} withheld donors"
            found = f"{len(donors)} in stratum {name}"
            yield Fault(
                "tables/strata.parquet", must, found, REWRITE, column=column, reason="few_donors"
            )


def _associations(audit: Audit) -> Iterator[Fault]:
    yield from _few_in_tests(audit, "associations")


def _outcomes(audit: Audit) -> Iterator[Fault]:
    yield from _few_in_tests(audit, "outcomes")
    if not audit.facts.withheld:
        return
    frame = audit.read("outcomes")
    for column in ("n_visits", "n_events"):
        if frame[column].notna().any():
            must = "must not count visits or events once a cohort is withheld"
            found = f"{int(frame[column].notna().sum())} numbers"
            yield Fault(
                "tables/outcomes.parquet", must, found, REWRITE, column=column, reason="few_donors"
            )


def _few_in_tests(audit: Audit, name: str) -> Iterator[Fault]:
    """No test in which a few withheld donors are, or from which a few are left out."""
    hidden, n_rows = audit.hidden, audit.n_rows(name)
    numbers = (len(hidden.used), len(hidden.donors) - len(hidden.used))
    if audit.facts.withheld and n_rows and any(hidden.is_few(number) for number in numbers):
        must = f"must not rest on fewer than {hidden.rules.strictest} withheld donors"
        found = f"{n_rows} tests"
        yield Fault(f"tables/{name}.parquet", must, found, REWRITE, reason="few_donors")


def _gaps(audit: Audit) -> Iterator[Fault]:
    frame = audit.read("gaps", ["cohort_id", "table"])
    rows = frame[frame["cohort_id"].isin(audit.closed) & (frame["table"] != "cohorts")]
    if len(rows):
        yield _row("gaps", f"{len(rows)} rows about donors, samples or cells of others")


def _donor_groups(audit: Audit) -> Iterator[Fault]:
    """As many cells as samples that are shown have, and no group of more donors than are shown."""
    groups = audit.read("donor_groups", ["n_cells", "n_donors", "n_other_donors"])
    n_cells = int(audit.read("samples", ["n_cells"])["n_cells"].sum())
    n_donors = audit.n_rows("donors")
    if int(groups["n_cells"].sum()) != n_cells:
        yield _row("donor_groups", f"{int(groups['n_cells'].sum())} cells of {n_cells}", "n_cells")
    if len(groups) and int((groups["n_donors"] + groups["n_other_donors"]).max()) > n_donors:
        yield _row("donor_groups", f"more donors than the {n_donors} shown", "n_donors")


def _gene_ledger(audit: Audit) -> Iterator[Fault]:
    frame = audit.read("gene_ledger", ["cohort_id", "umis"])
    n_told = int(frame.loc[frame["cohort_id"].isin(audit.closed), "umis"].notna().sum())
    if n_told:
        yield _row("gene_ledger", f"{n_told} sums of others", "umis")


def _runtime(audit: Audit) -> Iterator[Fault]:
    n_rows = int(audit.read("runtime", ["cohort_id"])["cohort_id"].isin(audit.closed).sum())
    if n_rows:
        yield _row("runtime", f"{n_rows} jobs of others", "cohort_id")


def _vector(name: str, found: str, column: str | None = None) -> Fault:
    file = f"tables/{name}.parquet"
    return Fault(file, WITHOUT_WITHHELD, found, REWRITE, column=column, reason="vector")


def _row(name: str, found: str, column: str | None = None) -> Fault:
    must = "must hold rows of cohorts with open access only"
    return Fault(f"tables/{name}.parquet", must, found, REWRITE, column=column, reason="rows")


CHECKS: Mapping[str, Check] = {
    "cohorts": _cohorts,
    "cohort_counts": lambda audit: small_group_faults(audit.folder / "tables", audit.hidden.rules),
    "genes": _genes,
    "gene_ledger": _gene_ledger,
    "clusters": _clusters,
    "markers": _markers,
    "strata": _strata,
    "associations": _associations,
    "outcomes": _outcomes,
    "gaps": _gaps,
    "donor_groups": _donor_groups,
    "runtime": _runtime,
}
"""Audits of single tables; each knows by itself what its table may tell."""
