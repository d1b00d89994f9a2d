"""The catalogue: complete, self-contained, showing only what may be shown."""

from __future__ import annotations

import base64
import itertools
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import anndata
import duckdb
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from made_release import list_anew
from pmcell.cli import main
from pmcell.cli.steps.release import _site
from pmcell.errors import DataError, UsageError
from pmcell.io.atomic import write_json, write_text
from pmcell.io.tables import read_table, write_table
from pmcell.publish import validation, write_release
from pmcell.publish.validators import Check, Verdict
from pmcell.release import ReleaseFolder
from pmcell.release.digest import content_sha256
from pmcell.release.report_tables import read_release
from pmcell.release.verify import verify_release
from pmcell.report.site import Extras, build, write_site
from pmcell.report.site.build import PAGES, TABLES
from pmcell.report.site.cards import cards
from pmcell.report.site.expression import MAX_GENES, chosen_genes, read_expression
from pmcell.report.site.pack import NOT_MEASURED, TOP_LEVEL, codes, levels, places, script
from pmcell.report.site.sample import MAX_POINTS, quotas, read_cells, thin
from pmcell.report.site.snippets import snippets
from pmcell.report.site.trust import _validators
from pmcell.schema import table

SITE_LIMIT = 10_000_000
"""Bytes of a whole site, whatever the number of cells; cells.html with its map: a quarter."""


class Dom(HTMLParser):
    """Elements with their attributes, and the text outside scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text: list[str] = []
        self._script = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        self._script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._script = False

    def handle_data(self, data: str) -> None:
        if not self._script:
            self.text.append(data)

    def values(self, attribute: str) -> list[str]:
        return [found[attribute] for _, found in self.tags if attribute in found]


@pytest.fixture(scope="session")
def doms(made_site: Path) -> dict[str, Dom]:
    site = made_site / "site"
    return {path.name: Dom(path.read_text()) for path in sorted(site.glob("*.html"))}


def read_script(path: Path) -> Any:
    return json.loads(path.read_text().split("=", 2)[2].rstrip(";\n"))


def test_every_page_is_there_and_listed_on_each(doms):
    names = [f"{key}.html" for key, _, _ in PAGES]
    assert sorted(doms) == sorted(names)
    for dom in doms.values():
        linked = [found["href"] for tag, found in dom.tags if tag == "a" and "href" in found]
        assert set(names) <= set(linked)


def test_every_link_leads_to_a_file_of_the_release_or_an_anchor_on_the_site(doms, made_site):
    ids = {name: dom.values("id") for name, dom in doms.items()}
    for name, dom in doms.items():
        assert len(ids[name]) == len(set(ids[name])), name
        for tag, found in dom.tags:
            href = found.get("href", "")
            if tag != "a" or href.startswith(("https://doi.org/", "#gene=")):
                continue
            file, _, anchor = href.partition("#")
            assert not file or (made_site / "site" / file).is_file(), (name, href)
            if anchor:
                assert anchor in ids[file or name], (name, href)


def test_every_entry_of_the_search_leads_somewhere(doms, made_site):
    data = read_script(made_site / "site" / "data" / "search.js")
    ids = {name: set(dom.values("id")) for name, dom in doms.items()}
    for _, title, _, url in data["entries"]:
        file, _, anchor = url.partition("#")
        assert file in ids, (title, url)
        assert not anchor or anchor in ids[file], (title, url)
    assert {kind for kind, *_ in data["entries"]} >= {
        "page", "cohort", "region", "programme", "cluster", "table", "column", "gap",
    }  # fmt: skip
    genes = read_table(made_site / "tables" / "genes.parquet")
    assert len(data["genes"]["names"]) == len(genes)


def test_nothing_is_loaded_from_outside_the_folder(doms, made_site):
    for name, dom in doms.items():
        assert not {"iframe", "img", "object", "embed", "base", "form"} & {t for t, _ in dom.tags}
        for tag, found in dom.tags:
            loads = tag == "script" or (
                tag == "link" and found.get("rel") in ("stylesheet", "icon")
            )
            source = found.get("src", found.get("href", "")) if loads else ""
            assert re.fullmatch(r"|data:,|[\w/-]+\.(js|css)", source), (name, source)
        policy = next(v for v in dom.values("content") if "default-src" in v)
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy
    for path in (made_site / "site").glob("*.[cj]s*"):
        assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttp", path.read_text()), path


def test_pages_have_landmarks_a_skip_link_and_headings_in_order(doms):
    for name, dom in doms.items():
        tags = [tag for tag, _ in dom.tags]
        for landmark in ("header", "nav", "main", "footer"):
            assert landmark in tags, (name, landmark)
        assert tags.count("h1") == 1
        anchors = [found for tag, found in dom.tags if tag == "a"]
        assert anchors[0]["href"] == "#main"
        depths = [int(tag[1]) for tag in tags if re.fullmatch(r"h[1-6]", tag)]
        assert all(b - a <= 1 for a, b in itertools.pairwise(depths)), (name, depths)
        assert tags.count("table") == tags.count("caption")
        assert all("scope" in found for tag, found in dom.tags if tag == "th")


def test_the_landing_page_says_what_is_here_and_whether_it_can_be_trusted(doms):
    text = " ".join(" ".join(doms["index.html"].text).split())
    assert len(text) > 1_500
    assert "research use only" in text
    assert "3 of 4 cohorts accepted" in text
    assert "Quarantined: wrong" in text
    assert "Used, but not published: closed" in text
    assert "The disclosure gate passed" in text
    assert "files with SHA-256" in text


def test_validators_are_shown_with_pass_fail_and_reason(made_site, tmp_path):
    folder = shutil.copytree(made_site, tmp_path / "r")
    rows = [
        {"name": "roc-validator", "version": "0.13.0", "target": "ro-crate-metadata.json",
         "level": "REQUIRED", "status": "pass", "reason": "", "report": "validation/roc.json"},
        {"name": "pyshacl", "version": "0.40.1", "target": "dcat.ttl", "level": "violations",
         "status": "fail", "reason": "2 violations", "report": "javascript:alert(1)"},
        {"name": "cellxgene-schema", "version": None, "target": "cells/", "level": "",
         "status": "not_run", "reason": "is not installed", "report": None},
    ]  # fmt: skip
    write_json(folder / "validation" / "summary.json", {"validators": rows})
    list_anew(folder)
    page = build(folder, Extras())["index.html"]
    text = " ".join(" ".join(Dom(page).text).split())
    assert "Checks: 1 passed, 1 failed, 1 not run" in text
    assert "Rejected by pyshacl." in text
    assert "2 violations" in text
    assert 'href="../validation/roc.json"' in page
    assert "javascript:" not in page


@pytest.mark.parametrize("rows", [[], [{"name": "roc", "level": "", "status": "not_run"}]])
def test_validators_that_are_not_set_up_are_a_next_step(rows):
    sign = _validators(rows)
    assert (sign.tone, sign.answer) == ("open", "Next step: run them")
    assert "pmcell validate --set-up" in sign.more


@pytest.mark.slow
def test_content_of_a_release_does_not_depend_on_the_validators_that_are_set_up(
    made_site, tmp_path, monkeypatch
):
    def verdicts(status):
        return lambda folder, validators, **_: [
            Verdict(
                item.name,
                item.version,
                (Check(item.targets[0], "all", status, f"reason of {status}"),),
                None if status == "not_run" else 0,
                {"said": status},
            )
            for item in validators
        ]

    config = {"release": {"date": "2026-01-31"}}
    manifests = []
    for status in ("not_run", "pass"):
        monkeypatch.setattr(validation, "run_validators", verdicts(status))
        folder = tmp_path / status
        write_release(made_site.parent, folder, config=config, site=_site)
        assert verify_release(folder) == []
        manifests.append(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    one, two = (item["files"] for item in manifests)
    assert "validation/pyshacl.json" in set(two) - set(one)
    assert one["site/index.html"]["sha256"] != two["site/index.html"]["sha256"]
    assert {
        name: entry["content_sha256"] for name, entry in one.items() if "valid" not in name
    } == {name: entry["content_sha256"] for name, entry in two.items() if "valid" not in name}
    assert manifests[0]["content_sha256"] == manifests[1]["content_sha256"]
    report = tmp_path / "pass" / "validation" / "pyshacl.json"
    report.write_text(report.read_text(encoding="utf-8").replace("pass", "fail"), encoding="utf-8")
    (fault,) = verify_release(tmp_path / "pass")
    assert (fault.file, fault.reason) == ("validation/pyshacl.json", "digest")


def test_a_recommendation_that_is_not_met_is_no_rejection():
    rows = [
        {"name": "roc", "level": "ro-crate-1.1 REQUIRED", "status": "pass"},
        {"name": "roc", "level": "ro-crate-1.1 RECOMMENDED", "status": "fail"},
    ]
    sign = _validators(rows)
    assert sign.tone == "good"
    assert "1 passed, 1 advise more" in str(sign)
    assert "No validator that ran rejected it." in str(sign)
    assert _validators([rows[0], {**rows[1], "level": "ro-crate-1.1 REQUIRED"}]).tone == "bad"


def test_a_broken_summary_stops_the_site_and_leaves_none(made_site, tmp_path):
    folder = shutil.copytree(made_site, tmp_path / "r", ignore=shutil.ignore_patterns("site"))
    write_text(folder / "validation" / "summary.json", '{"validators": [')
    list_anew(folder)
    with pytest.raises(DataError, match=r"summary\.json must be JSON"):
        write_site(folder)
    assert not (folder / "site").exists()
    with pytest.raises(UsageError, match="has no folder tables"):
        write_site(tmp_path)


def test_cards_hold_reason_and_fix_and_no_number_that_the_release_withholds(doms, made_site):
    release = read_release(made_site, only=TABLES)
    by_id = {card.cohort_id: card for card in cards(release, {"closed": {"steward": "A. Name"}})}
    assert by_id["wrong"].state == "quarantined"
    assert by_id["wrong"].reason
    assert by_id["closed"].state == "withheld"
    assert {line.text for line in by_id["closed"].numbers} == {"suppressed"}
    names = [line.name for line in by_id["closed"].lines]
    assert "Steward" in names
    assert not {"Disease", "Tissue", "Assay", "Cells kept by QC"} & set(names)
    text = " ".join(doms["cohorts.html"].text)
    assert by_id["wrong"].reason in text
    assert by_id["wrong"].message in text


def test_what_a_programme_says_stands_on_the_card_of_each_of_its_cohorts(doms, made_site):
    release = read_release(made_site, only=TABLES)
    found = [card for card in cards(release, {}) if card.state != "quarantined"]
    assert {card.about_programme.text for card in found} == {"Glycaemia at each visit."}
    dom = doms["cohorts.html"]
    assert " ".join(dom.text).count("Glycaemia at each visit.") == len(found)
    assert dom.values("href").count("https://doi.org/10.1000/pack") == len(found)
    assert " ".join(dom.text).count("A handbook") == len(found)
    rows = release["cohorts"].assign(programme_report="")
    silent = replace(release, tables={**release.tables, "cohorts": rows})
    assert {card.about_programme for card in cards(silent, {})} == {None}


def test_consent_terms_are_spelt_out(made_site, tmp_path):
    folder = shutil.copytree(made_site, tmp_path / "r")
    path = folder / "tables" / "cohorts.parquet"
    frame = read_table(path)
    frame["data_use"] = [["DUO:0000042", "DUO:0000045"]] * len(frame)
    write_table(path, frame, table("cohorts"))
    list_anew(folder)
    found = cards(read_release(folder, only=TABLES), {})[0]
    line = next(line for line in found.lines if line.name == "Consent terms")
    assert line.text.startswith("general research use (DUO:0000042); not for profit")


def test_the_dictionary_has_every_column_of_every_table(doms, made_site):
    dom = doms["dictionary.html"]
    ids, text = set(dom.values("id")), " ".join(dom.text)
    for path in sorted((made_site / "tables").rglob("*.parquet")):
        for field in pq.read_schema(path):
            assert f"{path.stem}-{field.name}" in ids
            assert field.metadata[b"pmcell:prose"].decode() in text


def test_no_cell_or_donor_of_a_withheld_cohort_is_anywhere_on_the_site(made_site):
    everything = "".join(path.read_text() for path in (made_site / "site").rglob("*.*"))
    assert not re.search(r"closed:\w", everything)
    fields = {item["key"]: item for item in read_script(made_site / "site/data/map.js")["fields"]}
    assert fields["cohort_id"]["names"] == ["alpha", "alpha-2"]


def test_a_cohort_that_is_no_longer_open_leaves_the_map(made_site, tmp_path):
    folder = shutil.copytree(made_site, tmp_path / "r")
    path = folder / "tables" / "cohorts.parquet"
    frame = read_table(path)
    frame.loc[frame["cohort_id"] == "alpha", "access"] = "registered"
    write_table(path, frame, table("cohorts"))
    list_anew(folder)
    release = read_release(folder, only=TABLES)
    shown = read_cells(ReleaseFolder(folder), release)
    assert set(shown.all["cohort_id"]) == {"alpha-2"}
    frame["access"] = "controlled"
    write_table(path, frame, table("cohorts"))
    list_anew(folder)
    pages = build(folder, Extras())
    assert not [name for name in pages if name.startswith("data/") and name != "data/search.js"]
    assert "No cell is shown" in pages["cells.html"]


def test_strata_colour_the_map_only_where_they_are_published(release, release_with_strata):
    for folder, published in ((release, False), (release_with_strata, True)):
        found = read_cells(ReleaseFolder(folder), read_release(folder, only=TABLES))
        assert ("stratum" in found.drawn) is published
    assert {"S1", "S2"} <= set(found.drawn["stratum"])


def test_the_map_draws_the_values_of_the_h5ad_files(made_site):
    release = read_release(made_site, only=TABLES)
    drawn = read_cells(ReleaseFolder(made_site), release).drawn
    genes = [gene.gene_id for gene in chosen_genes(release)]
    values = read_expression(ReleaseFolder(made_site), drawn, genes)
    assert values is not None
    for cohort, own in drawn.groupby("cohort_id", observed=True):
        cells = anndata.read_h5ad(made_site / "cells" / f"{cohort}.h5ad")
        present = np.array([gene in cells.var_names for gene in genes])
        assert np.isnan(values[~present][:, own.index]).all()
        expected = cells[own["cell_id"], np.array(genes)[present]].X.toarray().T
        np.testing.assert_array_equal(values[present][:, own.index], expected)
        assert (expected > 0).any()
    assert np.isnan(values).any()


def test_a_release_without_cells_files_has_a_map_without_genes(release):
    pages = build(release, Extras())
    assert "data/map.js" in pages
    assert not [name for name in pages if name.startswith("data/genes/")]


def test_levels_keep_zero_and_unmeasured_apart():
    text, top = levels(np.array([0.0, 1e-6, 1.0, 2.0, np.nan], dtype=np.float32))
    packed = np.frombuffer(base64.b64decode(text), np.uint8)
    level = np.ravel(np.column_stack([packed & 15, packed >> 4]))
    assert list(level[:5]) == [0, 1, 8, TOP_LEVEL, NOT_MEASURED]
    assert top == pytest.approx(1.98, abs=0.01)
    assert levels(np.array([np.nan, np.nan]))[1] == 0


def test_thinning_keeps_every_group_and_does_not_depend_on_the_order_of_cells():
    n = 20_000
    rng = np.random.default_rng(0)
    kind = np.where(np.arange(n) < 40, "rare", rng.choice(["a", "b"], n, p=[0.9, 0.1]))
    cells = pd.DataFrame({"cell_id": [f"c:{i}" for i in range(n)], "cell_type": kind})
    cells["cohort_id"] = "c"
    drawn = thin(cells, most=1_000)
    assert len(drawn) <= 1_000
    assert (drawn["cell_type"] == "rare").sum() == 40
    assert (drawn["cell_type"] == "a").mean() == pytest.approx(0.83, abs=0.03)
    again = thin(cells.sample(frac=1, random_state=1), most=1_000)
    pd.testing.assert_frame_equal(drawn, again)
    assert len(thin(cells, most=n)) == n


@pytest.mark.parametrize("sizes", [[5], [10, 1_000, 9_000], [1] * 700, [2_000] * 300])
def test_quotas_never_exceed_the_limit_or_the_group(sizes):
    found = quotas(np.array(sizes), 500)
    assert found.sum() <= 500
    assert (found <= sizes).all()
    assert (found >= 0).all()


@pytest.mark.once
def test_a_site_of_a_million_cells_stays_below_the_limit():
    rng = np.random.default_rng(0)
    x = rng.normal(size=MAX_POINTS)
    names = [str(i) for i in range(400)]
    kind = pd.Series(rng.choice(names, MAX_POINTS)).astype("category")
    size = len(script("map", {**places(x, x), "fields": [codes(kind, names) for _ in range(4)]}))
    assert size < SITE_LIMIT / 4
    size += MAX_GENES * len(script("gene", levels(x)[0]))
    assert size < SITE_LIMIT


def test_equal_releases_give_equal_sites(made_site, tmp_path):
    extras = Extras(json_ld='{"datePublished": "2026-01-31"}', links=(("license", "x", ""),))
    first, second = build(made_site, extras), build(made_site, extras)
    assert first == second
    assert sum(map(len, first.values())) < SITE_LIMIT
    later = build(made_site, Extras(json_ld='{"datePublished": "2027-01-31"}'))
    for number, page in enumerate((first["index.html"], later["index.html"])):
        write_text(tmp_path / str(number) / "index.html", page)
    digests = {content_sha256(tmp_path / name / "index.html") for name in "01"}
    assert len(digests) == 1
    assert first["index.html"] != later["index.html"]


@pytest.mark.parametrize("options", [[], ["--no-report"]])
def test_the_command_adds_the_catalogue_unless_told_not_to(options, monkeypatch, tmp_path):
    given: dict[str, Any] = {}

    def record(*_: Any, **options: Any) -> Any:
        given.update(options)
        raise UsageError("nothing is written here")

    monkeypatch.setattr("pmcell.publish.write_release", record)
    out = tmp_path / "release"
    assert main(["release", "--results", str(tmp_path), "--out", str(out), *options]) == 2
    assert given["site"] is (None if options else _site)


def test_the_manifest_lists_the_site_with_its_description_embedded(made_site):
    manifest = json.loads((made_site / "manifest.json").read_text())
    files = {path.relative_to(made_site).as_posix() for path in (made_site / "site").rglob("*.*")}
    assert files <= set(manifest["files"])
    page = (made_site / "site" / "index.html").read_text()
    embedded = re.findall(r'<script type="application/ld\+json">(.*?)</script>', page, re.S)
    assert json.loads(embedded[0])["name"] == manifest["title"]


def test_markup_in_any_field_stays_text(hostile_site):
    for path in sorted(hostile_site.glob("*.html")):
        dom = Dom(path.read_text())
        scripts = [found for tag, found in dom.tags if tag == "script"]
        assert all("src" in s or s["type"] == "application/ld+json" for s in scripts)
        assert not {"img"} & {tag for tag, _ in dom.tags}
        assert not [key for _, found in dom.tags for key in found if key.startswith("on")]
        assert not [value for value in dom.values("href") if value.startswith("javascript")]
    assert "console.error" in " ".join(dom.text)


def test_python_snippets_run_in_the_release_folder(made_site):
    found = [item for item in snippets(ReleaseFolder(made_site)) if item.language == "python"]
    assert {item.key for item in found} == {"scanpy", "pandas", "meaning"}
    code = "\n\n".join(item.code for item in found)
    done = subprocess.run(
        [sys.executable, "-c", f"import matplotlib; matplotlib.use('Agg')\n{code}"],
        cwd=made_site, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "alpha" in done.stdout
    assert "Pseudonymous identifier" in done.stdout


def test_sql_snippets_run_in_the_release_folder(made_site, monkeypatch):
    monkeypatch.chdir(made_site)
    gene = read_table(made_site / "tables" / "genes.parquet")["gene_id"].iloc[0]
    found = [item for item in snippets(ReleaseFolder(made_site), gene) if item.language == "sql"]
    assert {item.key for item in found} == {"duckdb", "expression"}
    for item in found:
        assert duckdb.sql(item.code.rstrip(";")).fetchall(), item.key


def test_snippets_on_the_page_are_those_that_ran(doms, made_site):
    text = "".join(doms["use.html"].text)
    assert "expression/*.parquet" in text
    for item in snippets(ReleaseFolder(made_site)):
        assert item.code in text


def test_any_gene_tells_the_share_of_cells_of_each_type(made_site):
    data = read_script(made_site / "site" / "data" / "gene-types.js")
    shares = np.frombuffer(base64.b64decode(data["shares"]), np.uint8)
    shares = shares.reshape(len(data["genes"].split()), len(data["types"]))
    rows = read_table(made_site / "tables" / "pseudobulk.parquet")
    cohort_of = read_table(made_site / "tables" / "samples.parquet").set_index("sample_id")
    rows["cohort_id"] = rows["sample_id"].map(cohort_of["cohort_id"])
    groups = rows.drop_duplicates(["sample_id", "cell_type"])
    genes = read_table(made_site / "tables" / "genes.parquet").set_index("gene_id")["measured_in"]
    assert sorted(data["genes"].split()) == sorted(genes.index)
    n_known = 0
    for number, gene in enumerate(data["genes"].split()):
        own = rows[rows["gene_id"] == gene]
        for column, name in enumerate(data["types"]):
            held = groups[(groups["cell_type"] == name) & groups["cohort_id"].isin(genes[gene])]
            total = held["n_cells"].sum()
            found = own.loc[own["cell_type"] == name, "n_cells_detected"].sum()
            if total == 0:
                assert shares[number, column] == 255
                continue
            n_known += 1
            assert abs(shares[number, column] / data["steps"] - found / total) <= 1 / data["steps"]
            assert (shares[number, column] > 0) == (found > 0)
    assert n_known > 50
