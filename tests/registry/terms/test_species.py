"""The species is told from the form of gene names."""

from __future__ import annotations

import pytest

from pmcell.registry.terms.species import HUMAN, MOUSE, RAT, detect_species


@pytest.mark.parametrize(
    ("names", "taxon"),
    [
        (["CD3E", "MS4A1", "IGJ"], HUMAN),
        (["ENSG00000244734.4", "ENSG00000198851"], HUMAN),
        ([" CD3E ", "b'MS4A1'", "IGJ\xa0"], HUMAN),
        (["ENSMUSG00000051951", "ENSMUSG00000064842.1"], MOUSE),
        (["Cd3e", "Ms4a1", "mt-Nd1", "Gm26206", "4933401J01Rik"], MOUSE),
        (["ENSRNOG00000000001"], RAT),
        (["x1y", "00012", "%"], "unknown"),
        ([], "unknown"),
    ],
)
def test_the_form_of_names_tells_the_species(names, taxon):
    assert detect_species(names).taxon == taxon


def test_the_majority_decides():
    assert detect_species(["CD3E", "MS4A1", "Xkr4"]).taxon == HUMAN
