import pytest

from pmcell.registry.terms.tissues import organ_of, tissue_groups, tissue_label

BLOOD, PANCREAS, ISLET = "UBERON:0000178", "UBERON:0001264", "UBERON:0000006"


@pytest.mark.parametrize(
    ("tissue", "organ"),
    [
        (BLOOD, BLOOD),
        ("UBERON:0013756", BLOOD),  # venous blood
        ("UBERON:0012168", BLOOD),  # umbilical cord blood, which is part of the embryo too
        (ISLET, PANCREAS),
        (PANCREAS, PANCREAS),
        ("UBERON:0001225", "UBERON:0002113"),  # cortex of kidney
        ("UBERON:0000451", "UBERON:0000955"),  # prefrontal cortex
        ("UBERON:0002371", "UBERON:0002371"),  # bone marrow is not blood
        ("UBERON:0002367", "UBERON:0002367"),  # prostate: no organ of the list above it
    ],
)
def test_a_tissue_belongs_to_the_nearest_organ(tissue, organ):
    assert organ_of(tissue) == organ


def test_unknown_tissue_is_taken_for_the_only_known_one():
    found = tissue_groups([BLOOD, "UBERON:0013756", "unknown"])
    assert set(found.values()) == {BLOOD}


def test_unknown_tissue_is_kept_apart_from_several_known_ones():
    assert tissue_groups([BLOOD, ISLET, "unknown"]) == {
        BLOOD: BLOOD,
        ISLET: PANCREAS,
        "unknown": "unknown",
    }


def test_where_no_tissue_is_known_all_are_one():
    assert tissue_groups(["unknown"]) == {"unknown": "unknown"}
    assert tissue_groups([]) == {}


def test_groups_have_names_for_people():
    assert [tissue_label(group) for group in (PANCREAS, "unknown")] == [
        "pancreas",
        "unknown tissue",
    ]
