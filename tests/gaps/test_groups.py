"""Groups of donors, the people they stand for, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from made_release import make_frames
from pmcell.cli import main
from pmcell.errors import FaultsError, UsageError
from pmcell.gaps.groups import DIMENSIONS, described_samples, donor_groups
from pmcell.gaps.power import State, power
from pmcell.gaps.prevalence import read_prevalence
from pmcell.gaps.recruit import recruit_next
from pmcell.gaps.swot import Swot, swot_of

READ = ("cohorts", "donors", "visits", "samples")


@pytest.fixture(scope="module")
def frames() -> dict[str, pd.DataFrame]:
    return make_frames(n_cells=800, n_donors=24, published=False, seed=3)


@pytest.fixture(scope="module")
def samples(frames: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return described_samples(*(frames[name] for name in READ))


def write_csv(folder: Path, text: str) -> Path:
    path = folder / "people.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_every_cell_and_donor_is_in_a_group(frames: dict[str, pd.DataFrame]) -> None:
    groups = donor_groups(*(frames[name] for name in READ))
    assert groups["n_cells"].sum() == frames["samples"]["n_cells"].sum()
    with_cells = frames["samples"].query("n_cells > 0")["donor_id"].nunique()
    assert (groups["n_donors"] + groups["n_other_donors"]).max() == with_cells
    assert not groups.duplicated(list(DIMENSIONS)).any()


def test_the_power_of_a_group_is_that_of_its_donors_against_the_others(
    frames: dict[str, pd.DataFrame],
) -> None:
    groups = donor_groups(*(frames[name] for name in READ), effect=State(1.5))
    for row in groups.itertuples():
        assert row.power == power(row.n_donors, row.n_other_donors, State(1.5))
    assert groups["power"].nunique() > 1


def test_a_donor_without_cells_is_in_no_group(frames: dict[str, pd.DataFrame]) -> None:
    gone = frames["donors"]["donor_id"].iloc[0]
    own = frames["samples"].copy()
    own.loc[own["donor_id"] == gone, "n_cells"] = 0
    left = described_samples(frames["cohorts"], frames["donors"], frames["visits"], own)
    assert gone not in set(left["donor_id"])


def test_what_nobody_supplied_is_a_group_of_its_own(frames: dict[str, pd.DataFrame]) -> None:
    donors = frames["donors"].assign(age_group=None, sex_ontology_term_id="")
    groups = donor_groups(frames["cohorts"], donors, frames["visits"], frames["samples"])
    assert set(groups["age_band"]) == {"unknown"}
    assert set(groups["sex_ontology_term_id"]) == {"unknown"}


def test_people_without_any_donor_come_first(samples: pd.DataFrame, tmp_path: Path) -> None:
    path = write_csv(tmp_path, "age_band,n_people\n20-39,100\n40-59,100\n60-79,100\n80-89,100\n")
    ranked = recruit_next(samples, prevalence=read_prevalence(path))
    first = ranked.iloc[0]
    assert (first["age_band"], first["n_donors"], first["power"]) == ("80-89", 0, 0.0)
    assert first["unseen"] == pytest.approx(0.25)
    assert ranked["rank"].tolist() == [1, 2, 3, 4]
    assert ranked["share_of_donors"].sum() == pytest.approx(1.0)


def test_recruiting_what_is_asked_for_reaches_the_power(samples: pd.DataFrame) -> None:
    ranked = recruit_next(samples, powered=0.7)
    asked = ranked[ranked["n_to_recruit"].notna()]
    assert len(asked)
    for row in asked.itertuples():
        assert power(int(row.n_donors + row.n_to_recruit), row.n_other_donors) >= 0.7


def test_sex_by_name_is_the_term(samples: pd.DataFrame, tmp_path: Path) -> None:
    by_name = write_csv(tmp_path, "sex_ontology_term_id;n_people\nFemale;10\nmale;30\n")
    assert set(read_prevalence(by_name).groups) == {("PATO:0000383",), ("PATO:0000384",)}


def test_all_faults_of_the_people_are_named_at_once(tmp_path: Path) -> None:
    path = write_csv(
        tmp_path,
        "region,sex_ontology_term_id,n_people\n"
        "XX9,female,3\nNL2,femal,5\nNL2,male,-1\nNL2,male,nan\nNL2,male\n,female,1_0\n",
    )
    with pytest.raises(FaultsError, match="8 faults") as caught:
        read_prevalence(path)
    places = {(fault.row, fault.column) for fault in caught.value.faults}
    assert places == {
        (2, "region"),
        (3, "sex_ontology_term_id"),
        (4, "n_people"),
        (5, "n_people"),
        (5, None),
        (6, None),
        (7, "region"),
        (7, "n_people"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("programe,n_people\nx,1\n", "Did you mean 'programme'"),
        ("programme\nx\n", "must have n_people"),
        ("n_people\n5\n", "must have a column to group by"),
        ("programme,n_people\nx,0\n", "must count people in at least one group"),
        ("", "must have n_people; found no header"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(FaultsError, match=message):
        read_prevalence(write_csv(tmp_path, text))


def test_a_missing_file_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is none at"):
        read_prevalence(tmp_path / "none.csv")


@pytest.fixture(scope="module")
def found(frames: dict[str, pd.DataFrame]) -> list[Swot]:
    return swot_of(
        {**frames, "donor_groups": donor_groups(*(frames[name] for name in READ))},
        {"nowhere": {"legal_basis": "consent"}},
    )


def test_there_is_a_page_for_every_programme_and_region(
    frames: dict[str, pd.DataFrame], found: list[Swot]
) -> None:
    cohorts = frames["cohorts"].fillna("unknown")
    assert {(item.programme, item.region) for item in found} == set(
        zip(cohorts["programme"], cohorts["region"], strict=True)
    )


def test_a_statement_changes_with_its_fact(frames: dict[str, pd.DataFrame]) -> None:
    tables = {**frames, "donor_groups": donor_groups(*(frames[name] for name in READ))}
    cohort = str(frames["cohorts"]["cohort_id"].iloc[0])

    def threats(policy: dict[str, dict[str, str]]) -> str:
        return " ".join(s.text for item in swot_of(tables, policy) for s in item.threats)

    known = {str(name): {"legal_basis": "x"} for name in frames["cohorts"]["cohort_id"]}
    assert cohort in threats({})
    assert "Legal basis" in threats({})
    assert "Legal basis" not in threats(known)


def test_the_command_ranks_a_release(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    from made_release import make_release

    release = make_release(tmp_path_factory.mktemp("gaps"), n_cells=600, n_donors=20)
    out = release / "next.csv"
    assert main(["gaps", str(release), "--shares", "0.1", "0.2", "--out", str(out)]) == 0
    assert "Whom to recruit next" in capsys.readouterr().out
    assert len(pd.read_csv(out)) == len(pd.read_csv(out).drop_duplicates("rank"))
    people = write_csv(tmp_path_factory.mktemp("people"), "condition,n_people\n=1+1,10\nx,20\n")
    assert main(["gaps", str(release), "--prevalence", str(people), "--out", str(out)]) == 0
    # Nothing that others wrote runs where a spreadsheet opens it.
    assert set(pd.read_csv(out)["condition"]) == {"'=1+1", "x"}
    capsys.readouterr()
    assert main(["gaps", str(release), "--shares", "0.1", "0.1"]) == 2
    assert "must differ" in capsys.readouterr().err
    assert main(["gaps", str(release), "--shares", "0.1", "0.2", "--effect", "1"]) == 2


def test_the_observatory_shows_hints_and_policy(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from made_release import make_release
    from pmcell.io.tables import write_table
    from pmcell.release.report_tables import read_release
    from pmcell.report.site.build import TABLES
    from pmcell.report.site.observatory import observatory
    from pmcell.schema import DUPLICATES

    folder = make_release(tmp_path_factory.mktemp("hints"), n_cells=600, n_donors=20)
    donors = read_release(folder, only=TABLES)["donors"]["donor_id"]
    pair = {
        "donor_id": donors[0],
        "other_donor_id": donors[1],
        "kind": "shared_cells",
        "n_found": 31,
        "n_compared": 60,
        "similarity": 0.87,
        "what_to_do": "Ask both stewards.",
    }
    write_table(folder / "tables" / "duplicates.parquet", pd.DataFrame([pair]), DUPLICATES)
    release = read_release(folder, only=TABLES)
    cohort = str(release["cohorts"]["cohort_id"].iloc[0])
    shown = observatory(release, {cohort: {"access_body": "<b>Body</b>"}})
    assert [cell.text for cell in shown["duplicates"].rows[0]][:4] == [
        donors[0],
        donors[1],
        "shared cells",
        "31",
    ]
    texts = [cell.text for row in shown["places"].rows for cell in row]
    assert "<b>Body</b>" in texts
    assert len(shown["places"].rows) == len(release["cohorts"])
