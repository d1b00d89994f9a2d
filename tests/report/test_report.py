"""The page: complete, self-contained, honest about what is missing."""

from __future__ import annotations

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from pmcell.cli import main
from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import read_json
from pmcell.io.tables import read_table, write_table
from pmcell.report import read_release, render
from pmcell.report.flow import exclusions, stages
from pmcell.schema import table


class Dom(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, key, value or "") for key, value in attrs]

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="session")
def page(release: Path) -> str:
    return render(read_release(release))


@pytest.fixture(scope="session")
def page_with_strata(release_with_strata: Path) -> str:
    return render(read_release(release_with_strata))


def test_every_section_is_there_and_listed(page):
    linked = re.findall(r'<li><a href="#(\w+)">', page)
    assert linked == re.findall(r'<section id="(\w+)">', page)
    assert len(linked) == 10


def test_ids_are_unique_and_links_within_the_page_lead_somewhere(page):
    dom = Dom(page)
    ids = [value for _, key, value in dom.attributes if key == "id"]
    assert len(ids) == len(set(ids))
    inner = {value[1:] for _, key, value in dom.attributes if key == "href" and value[:1] == "#"}
    assert inner <= set(ids)


def test_the_flow_has_a_form_for_phones_that_is_never_shown_beside_the_other(page):
    assert page.count('<div class="picture narrow">') == 2, "flow and composition"
    assert page.count(' not-narrow"') == 2
    assert ".picture.narrow { display: none; }" in page
    assert ".picture.not-narrow { display: none; } .picture.narrow { display: block;" in page


def test_in_the_dark_scheme_no_figure_is_a_light_plate(page):
    dark = page.partition("@media screen and (prefers-color-scheme: dark)")[2].partition("\n}")[0]
    assert ".picture svg { filter: invert(" in dark
    assert ".picture { background: none; }" in dark


def test_nothing_is_loaded_from_anywhere(page):
    dom = Dom(page)
    assert not {"link", "iframe", "img", "object", "embed", "base", "form"} & set(dom.tags)
    for tag, key, value in dom.attributes:
        if key in ("src", "srcset", "action", "data", "poster"):
            raise AssertionError((tag, key, value))
        if key == "xlink:href":
            assert value.startswith(("#", "data:image/png;base64,"))
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    policy = next(v for _, key, v in dom.attributes if key == "content" and "default-src" in v)
    assert policy.startswith("default-src 'none'")


def test_what_a_programme_says_stands_once_with_its_sources(page):
    told = re.findall(r"<p><b>Programme covid19:</b> (.*?)</p>", page)
    assert len(told) == 1
    assert told[0].startswith("Interferon at each visit. <small>Sources: <a href=")
    assert 'href="https://doi.org/10.1007/s10875-016-0359-1"' in told[0]
    assert told[0].endswith("; A handbook</small>")


def test_it_is_small(page):
    assert len(page.encode()) < 3_000_000


def test_equal_releases_give_equal_pages(release, page):
    assert render(read_release(release)) == page


def test_no_strata_are_drawn_when_none_are_published(page):
    assert "No strata are published: the donors form a continuum" in page
    assert "By stratum" not in page
    assert ">S1<" not in page


def test_published_strata_are_drawn_with_their_test(page_with_strata):
    assert "2 strata are published" in page_with_strata
    assert "By stratum" in page_with_strata
    assert "existence test p = 0.005" in page_with_strata
    assert 'id="figure-drivers"' in page_with_strata


def test_doubt_about_places_is_told_with_the_donors(page, page_with_strata, release_with_strata):
    rows = read_table(release_with_strata / "tables" / "assignments.parquet")
    doubtful = rows[rows["status"] == "ambiguous"].iloc[0]
    assert "How sure each place is" in page_with_strata
    assert f"{doubtful['donor_id']} {doubtful['visit']} (set S1, S2)" in page_with_strata
    assert "for 90 % of the donors of each stratum" in page_with_strata
    assert "How sure each place is" not in page


def test_strata_found_without_a_batch_are_shown(page):
    assert "Strata found without one batch, and its donors placed on them" in page
    assert "b3: 2 donors, 3 are needed" in page


def test_a_quarantined_cohort_is_named_with_reason_and_fix(page):
    assert "not_counts" in page
    assert "Point matrix.counts in cohort.yaml at the layer that holds the counts." in page


def test_clusters_without_a_label_are_shown_as_such(page):
    assert "no label" in page
    assert "abstained" in page


def test_research_use_only_is_printed_where_users_look(page):
    head = page[: page.index('id="flow"')]
    assert "research use only" in head


def test_stability_is_drawn_from_the_donor_profiles(release_with_strata, tmp_path):
    folder = shutil.copytree(release_with_strata, tmp_path / "r")
    rows = read_table(folder / "tables" / "assignments.parquet").drop_duplicates("donor_id")
    obs = rows[["donor_id", "visit"]].set_index(rows["donor_id"].to_numpy())
    donors = AnnData(obs=obs.assign(discovery=True))
    donors.uns["existence"] = {"k": 2}
    donors.uns["clustering"] = {"consensus": {"2": np.eye(len(rows))}}
    donors.write_h5ad(folder / "donors.h5ad")
    text = render(read_release(folder))
    assert 'id="figure-stability"' in text
    assert f"(n = {len(rows)} donors, each at one visit)" in text


def test_every_figure_has_a_caption_with_its_data(page_with_strata):
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page_with_strata, re.S)
    assert len(captions) == page_with_strata.count("<figure ")
    assert all('Data: <a class="file" href="' in caption for caption in captions)
    numbers = [int(n) for n in re.findall(r"<b>Figure (\d+)\.", page_with_strata)]
    assert numbers == list(range(1, len(numbers) + 1))


def test_excluded_cells_add_up(release):
    loaded = read_release(release)
    cells = loaded["cells"]
    counted = exclusions(loaded)
    assert counted.to_numpy().sum() == (~cells["passes_qc"]).sum()
    assert (
        counted["liu_b1"].sum() == (~cells.loc[cells["cohort_id"] == "liu_b1", "passes_qc"]).sum()
    )


def test_the_flow_names_those_who_left(release):
    boxes = stages(read_release(release))
    titles = [exits.title for box in boxes for exits in box.exits]
    assert titles[0] == "1 cohort quarantined (546 cells)"
    assert any("excluded by QC" in title for title in titles)
    assert any("without a profile" in title for title in titles)


def test_markup_in_any_field_stays_text(hostile_page):
    text = hostile_page.read_text()
    dom = Dom(text)
    assert dom.tags.count("script") == 1
    assert "img" not in dom.tags
    assert not [item for item in dom.attributes if item[1].startswith("on")]
    assert not [value for _, key, value in dom.attributes if key == "href" and "script" in value]
    assert any("console.error('pwned')" in part for part in dom.text)


def test_numbers_that_are_missing_are_not_invented(release, tmp_path):
    folder = shutil.copytree(release, tmp_path / "r")
    (folder / "strata.json").unlink()
    for name in ("gaps", "drivers", "associations", "markers", "gene_ledger", "composition"):
        (folder / "tables" / f"{name}.parquet").unlink()
    text = render(read_release(folder))
    assert "the reason is not available" in text
    assert "This figure is not available" in text
    assert "The gap analysis is not available." in text
    assert "Tables absent from the release" in text


def test_a_cohort_without_open_access_is_named_and_not_counted(release, tmp_path):
    folder = shutil.copytree(release, tmp_path / "r")
    cohorts = read_table(folder / "tables" / "cohorts.parquet")
    cohorts.loc[cohorts["cohort_id"] == "islets_log", ["status", "reason", "access"]] = [
        "ok",
        "",
        "controlled",
    ]
    write_table(folder / "tables" / "cohorts.parquet", cohorts, table("cohorts"))
    text = render(read_release(folder))
    assert "Its access is controlled" in text


def test_a_release_with_one_cohort_and_no_cells_passing_is_still_a_page(release, tmp_path):
    folder = shutil.copytree(release, tmp_path / "r")
    for name in ("cells", "clusters", "markers", "composition", "assignments", "associations"):
        frame = read_table(folder / "tables" / f"{name}.parquet").iloc[:0]
        write_table(folder / "tables" / f"{name}.parquet", frame, table(name))
    assert "<h2>Methods</h2>" in render(read_release(folder))


def test_the_methods_name_the_tissues_that_were_kept_apart(release, tmp_path):
    samples = read_table(release / "tables" / "samples.parquet")
    samples["tissue_ontology_term_id"] = np.resize(
        ["UBERON:0013756", "UBERON:0000006"], len(samples)
    )
    folder = shutil.copytree(release, tmp_path / "r")
    write_table(folder / "tables" / "samples.parquet", samples, table("samples"))
    assert "one tissue (organ) at a time: blood and pancreas." in render(read_release(folder))
    assert "one tissue (organ) at a time.<" in render(read_release(release)).replace(" <", "<")


def test_a_folder_that_is_no_release_is_refused(tmp_path, capsys):
    with pytest.raises(UsageError, match="has no folder tables"):
        read_release(tmp_path)
    assert main(["report", "--release", str(tmp_path)]) == 2
    assert "pmcell release" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_core_table_is_named(release, tmp_path):
    folder = shutil.copytree(release, tmp_path / "r")
    (folder / "tables" / "cells.parquet").unlink()
    with pytest.raises(DataError, match=r"tables/cells\.parquet"):
        read_release(folder)


def test_a_table_with_another_schema_is_named(release, tmp_path):
    folder = shutil.copytree(release, tmp_path / "r")
    pd.DataFrame({"a": [1]}).to_parquet(folder / "tables" / "donors.parquet")
    with pytest.raises(DataError, match=r"donors\.parquet must have the columns"):
        read_release(folder)


@pytest.mark.parametrize("name", ["tables/qc.parquet", "strata.json"])
def test_a_broken_file_stops_the_command_and_leaves_no_page(release, tmp_path, capsys, name):
    folder = shutil.copytree(release, tmp_path / "r")
    (folder / name).write_bytes(b"half a fi")
    assert main(["report", "--release", str(folder)]) == 3
    error = capsys.readouterr().err
    assert Path(name).name in error
    assert "Traceback" not in error
    assert not (folder / "report.html").exists()


def test_the_command_writes_the_page_beside_the_tables(release, tmp_path, capsys):
    folder = shutil.copytree(release, tmp_path / "r")
    assert main(["report", "--release", str(folder)]) == 0
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert "report.html" in capsys.readouterr().out
    assert read_json(folder / "strata.json")["decision"] == "continuum"
