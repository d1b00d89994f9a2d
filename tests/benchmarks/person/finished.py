"""Labels of a finished study against those of its sources, cohort by cohort.

python tests/benchmarks/person/finished.py RELEASE [--sources OTHER]

The labels of the sources are those that RELEASE has, or, where a study was registered without them,
those of OTHER, a release of the same cells with them. An answer is right that is the source's term,
above it or below it; coarse, also where both are B cells, T cells, NK cells or monocytes. Intervals
draw donors anew.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from within import UNKNOWN, scores

import pmcell as pm
from pmcell.mapping.labels import covers
from pmcell.registry.terms.cell_types import name_of

ANSWER, SOURCE = "cell_type_ontology_term_id", "source_cell_type_ontology_term_id"
BLOOD, ISLET = "CL:0000988", "CL:0000164"
"""Hematopoietic cells; enteroendocrine cells, of which those of islets are."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path)
    parser.add_argument("--sources", type=Path, help="release that has the labels of the sources")
    args = parser.parse_args()
    cells = labels_of(args.release)
    cells[SOURCE] = labels_of(args.sources or args.release)[SOURCE].reindex(cells.index)
    cells = cells.fillna({SOURCE: UNKNOWN})
    print(
        "| cohort | cells with a label | donors | answered | wrong (95 %) | coarse, wrong (95 %) "
        "| macro-F1 | of another tissue | wrong most often |"
    )
    print("|" + "---|" * 9)
    for cohort, own in cells.groupby("cohort_id"):
        print(f"| {cohort} | " + " | ".join(judge(own[own[SOURCE] != UNKNOWN])) + " |")


def labels_of(release: Path) -> pd.DataFrame:
    """Cells that passed QC."""
    columns = ["cell_id", "cohort_id", "donor_id", "passes_qc", ANSWER, SOURCE]
    table = pm.open_release(release).tables["cells"].to_pandas(columns)
    return table[table["passes_qc"]].set_index("cell_id")


def judge(cells: pd.DataFrame) -> list[str]:
    """The columns of one cohort's row."""
    answer, source = cells[ANSWER].to_numpy(str), cells[SOURCE].to_numpy(str)
    found = scores(answer, answer, source, cells["donor_id"].to_numpy(str), {})
    pairs = cells.groupby([SOURCE, ANSWER]).size().sort_values(ascending=False)
    wrong = {
        (real, said): n
        for (real, said), n in pairs.items()
        if said != UNKNOWN and not (covers(said, real) or covers(real, said))
    }
    crossed = sum(n for (real, said), n in wrong.items() if _tissue(real) != _tissue(said))
    worst = next((f"{n} {name_of(a)} called {name_of(b)}" for (a, b), n in wrong.items()), "")
    return [
        f"{found['n_cells']:,}",
        str(found["n_donors"]),
        f"{found['answered']:.3f}",
        *(
            "{:.4f} ({:.4f} to {:.4f})".format(
                *(found[name + end] for end in ("", "_low", "_high"))
            )
            for name in ("wrong", "coarse_wrong")
        ),
        f"{found['macro_f1']:.2f}",
        str(crossed),
        worst,
    ]


def _tissue(term: str) -> str:
    return next((tissue for tissue in (BLOOD, ISLET) if covers(tissue, term)), UNKNOWN)


if __name__ == "__main__":
    main()
