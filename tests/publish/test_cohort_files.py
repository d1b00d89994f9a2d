"""Parts of a release that cohorts' own jobs wrote: linked where current, else made anew."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet as pq
import pytest

from pmcell.cli import main
from pmcell.cli.person._clean_build import compare
from pmcell.consent.removal.needles import Needles
from pmcell.consent.removal.scan import scan
from pmcell.consent.takedown import artefacts
from pmcell.errors import DataError
from pmcell.io.arrays import write_arrays
from pmcell.io.atomic import read_json, write_json
from pmcell.io.modes import umask_of
from pmcell.io.stamps import stamp_path, write_stamps
from pmcell.publish import write_release
from pmcell.publish.atlas import load_atlas
from pmcell.publish.cohort_files import (
    CELLS,
    EXPRESSION,
    RECORD,
    read_record,
)
from pmcell.publish.facts import PREPARED_BY, Facts, load_facts
from pmcell.publish.placed import place_file
from pmcell.publish.plan import plan_of, planned_facts
from pmcell.release.digest import content_sha256
from pmcell.step import files_of
from pmcell.steps import BY_NAME
from results_folder import COHORTS, make_results

CONFIG = {"release": {"date": "2026-01-31", "validators": "none"}}
PUBLISHED = ("alpha", "alpha-2")


def prepare(results: Path, **release: str) -> Facts:
    """Run the jobs that write parts of a release, on results that carry stamps."""
    needed = {path for name in PREPARED_BY for path in BY_NAME[name].inputs}
    made = [results / path for path in files_of(sorted(needed), [*COHORTS, "wrong"])]
    write_stamps("made", [path for path in made if path.is_file()], {}, {})
    config = results.parent / "config.yaml"
    write_json(config, {"release": {**CONFIG["release"], **release}})
    plan = results / "atlas" / "release_plan.json"
    options = ["--results", str(results), "--config", str(config)]
    assert main(["release_plan", *options, "--out", str(plan)]) == 0
    for name in COHORTS:
        folder = results / "cohorts" / name
        options = ["--results", str(results), "--cohort", name, "--out-dir", str(folder)]
        assert main(["cells", *options]) == 0
    atlas = str(results / "atlas")
    assert main(["reference", "--results", str(results), "--out-dir", atlas]) == 0
    return load_facts(results, config={"release": {**CONFIG["release"], **release}})


def digests(release: Path) -> dict[str, str]:
    """Content digests of the files of a release but those of its making."""
    files = read_json(release / "manifest.json")["files"]
    return {name: entry["content_sha256"] for name, entry in files.items()}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results whose cohorts' jobs have run, to read only."""
    results = make_results(tmp_path_factory.mktemp("prepared"))
    prepare(results)
    return results


@pytest.fixture
def own(prepared: Path, tmp_path: Path) -> Path:
    """Prepared results of one's own."""
    return Path(shutil.copytree(prepared, tmp_path / "results"))


@pytest.mark.parametrize("is_open", [False, True], ids=["one withheld", "all open"])
def test_parts_written_by_jobs_are_those_that_the_release_writes(
    tmp_path: Path, is_open: bool
) -> None:
    access = {"closed": "open"} if is_open else {}
    whole = make_results(tmp_path / "whole", access=access)
    parts = make_results(tmp_path / "parts", access=access)
    prepare(parts)
    for results in (whole, parts):
        write_release(results, results / "release", config=CONFIG)
    published = [*PUBLISHED, *(["closed"] if is_open else [])]
    for name in published:
        for own, placed in (
            (CELLS, f"cells/{name}.h5ad"),
            (EXPRESSION, f"expression/{name}.parquet"),
        ):
            linked = parts / "release" / placed
            assert os.path.samefile(linked, parts / "cohorts" / name / own)
    frozen = parts / "release" / "reference" / "centroids.npz"
    assert frozen.exists() == is_open
    assert not is_open or os.path.samefile(frozen, parts / "atlas" / "centroids.npz")
    assert digests(parts / "release") == digests(whole / "release")
    one, other = (read_json(item / "release" / "manifest.json") for item in (whole, parts))
    assert one["cohorts"] == other["cohorts"]


def test_a_cohort_that_is_not_published_has_empty_parts_and_no_digests(prepared: Path) -> None:
    folder = prepared / "cohorts" / "closed"
    assert [(folder / name).stat().st_size for name in (CELLS, EXPRESSION)] == [0, 0]
    record = read_json(folder / RECORD)
    assert (record["files"], record["sources"]) == ({}, {})


def test_nothing_is_frozen_where_a_cohort_is_not_published(prepared: Path) -> None:
    assert all((prepared / path).stat().st_size < 4 for path in BY_NAME["reference"].outputs)
    assert read_json(prepared / "atlas" / "reference.json") == {}


def test_cells_are_frozen_before_there_are_strata_and_old_sums_of_donors_go(tmp_path: Path) -> None:
    results = make_results(tmp_path, access={"closed": "open"})
    prepare(results)
    before = {path: content_sha256(results / path) for path in BY_NAME["reference"].outputs}
    shutil.rmtree(results / "strata")
    old = results / "atlas" / "reference_donors.npz"
    write_arrays(old, sums=np.ones(3))
    write_stamps("reference", [old], {}, {})
    step = ["reference", "--results", str(results), "--out-dir", str(results / "atlas")]
    assert main(step) == 0
    assert {path: content_sha256(results / path) for path in before} == before
    assert not old.exists()
    assert not stamp_path(old).exists()


def test_a_study_that_wants_no_model_has_none(tmp_path: Path) -> None:
    results = make_results(tmp_path, access={"closed": "open"})
    config = {**CONFIG, "reference": {"freeze": False}}
    write_release(results, results / "release", config=config)
    folder = results / "release" / "reference"
    assert "freeze: false" in read_json(folder / "reference.json")["cannot_map"]
    assert not (folder / "labels.npz").exists()
    step = ["reference", "--results", str(results), "--out-dir", str(results / "atlas")]
    assert main([*step, "--no-freeze"]) == 0
    record = read_json(results / "atlas" / "reference.json")
    assert "freeze: false" in record["cannot_map"]


def test_a_model_of_older_inputs_is_not_served(tmp_path: Path) -> None:
    results = make_results(tmp_path, access={"closed": "open"})
    prepare(results)
    umap = results / "atlas" / "umap.parquet"
    pq.write_table(pq.read_table(umap), umap, compression="none")
    write_stamps("made", [umap], {}, {})
    write_release(results, results / "release", config=CONFIG)
    frozen = results / "release" / "reference" / "centroids.npz"
    assert not os.path.samefile(frozen, results / "atlas" / "centroids.npz")
    assert content_sha256(frozen) == content_sha256(results / "atlas" / "centroids.npz")


def test_parts_are_among_the_results_that_a_withdrawal_accounts_for(own: Path) -> None:
    parts = {f"cohorts/{name}/{file}" for name in COHORTS for file in (CELLS, EXPRESSION, RECORD)}
    # The plan is made of every cohort's registration, and all parts are made of it.
    assert {"atlas/release_plan.json", *parts} <= artefacts(own, "alpha").keys()
    needles = Needles({"alpha:AC001-1": "cell"}, frozenset())
    found = {file for file, _, _ in scan([own], needles, base=own).hits}
    assert f"cohorts/alpha/{CELLS}" in found
    assert not scan([own / "cohorts" / "closed" / CELLS], needles).unread


def test_results_with_parts_are_compared_with_a_clean_build(prepared: Path, own: Path) -> None:
    assert compare(own, prepared)["n_results"] > 3 * len(COHORTS)
    write_json(own / "cohorts" / "alpha" / RECORD, {})
    with pytest.raises(DataError, match=rf"these differ: cohorts/alpha/{RECORD}"):
        compare(own, prepared)


def test_a_job_of_one_cohort_reads_only_its_cells(prepared: Path) -> None:
    whole = load_atlas(prepared)
    for name in COHORTS:
        part = load_atlas(prepared, cohort_id=name)
        rows = whole.rows_of(part.cells.index, cohort_id=name)
        assert part.cells.equals(whole.cells.iloc[rows])
        for key, values in part.coordinates.items():
            assert (values == whole.coordinates[key][rows]).all()
    assert len(load_atlas(prepared, cohort_id="wrong").cells) == 0


def test_no_cell_is_read_by_itself(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a dataset was looked through element by element")

    for name in ("__iter__", "__contains__"):
        monkeypatch.setattr(h5py.Dataset, name, refuse, raising=False)
    assert len(load_atlas(own).cells) > len(load_atlas(own, cohort_id="alpha").cells) > 0


def test_parts_are_not_served_under_another_plan_or_of_older_inputs(own: Path) -> None:
    facts = load_facts(own, config=CONFIG)
    cohort = facts.published[0]
    assert read_record(facts, cohort)["files"].keys() == {CELLS, EXPRESSION}
    for said in ({"title": "Another"}, {"version": "2"}, {"license": "CC0-1.0"}):
        assert read_record(load_facts(own, config={"release": said}), cohort) == {}
    kept = {"description": "Another", "authors": ["Somebody"], "min_donors": 12}
    assert read_record(load_facts(own, config={"release": kept}), cohort)
    write_stamps("made", [own / "strata" / "assignments.parquet"], {}, {})
    assert read_record(facts, cohort)
    umap = own / "atlas" / "umap.parquet"
    umap.write_bytes(umap.read_bytes() + b"\0")
    write_stamps("made", [umap], {}, {})
    assert read_record(facts, cohort) == {}


def test_parts_with_the_sentences_of_another_schema_are_not_served(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = load_facts(own, config=CONFIG)
    assert read_record(facts, facts.published[0])
    monkeypatch.setattr("pmcell.publish.plan.SCHEMA_VERSION", "99.0.0")
    assert read_record(facts, facts.published[0]) == {}


def test_a_changed_title_is_in_the_release_though_no_job_ran_again(own: Path) -> None:
    write_release(own, own / "release", config={"release": {**CONFIG["release"], "title": "New"}})
    name = "expression/alpha.parquet"
    said = pq.read_schema(own / "release" / name).metadata
    assert said[b"dct:title"] == f"New: {name}".encode()
    assert not os.path.samefile(own / "release" / name, own / "cohorts" / "alpha" / EXPRESSION)


def test_parts_without_a_stamp_are_not_taken(own: Path) -> None:
    (own / "cohorts" / "alpha" / ".stamps" / f"{RECORD}.json").unlink()
    facts = load_facts(own, config=CONFIG)
    assert read_record(facts, facts.published[0]) == {}


def test_a_damaged_part_stops_the_release_with_the_command_that_mends_it(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = own / "cohorts" / "alpha" / CELLS
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    arguments = ["release", "--results", str(own), "--out", str(own / "release"), "--no-report"]
    assert main(arguments) == 3
    assert f"rm {path}" in capsys.readouterr().err
    assert not (own / "release").exists()


def test_the_plan_says_of_a_cohort_what_its_job_needs(prepared: Path) -> None:
    facts = load_facts(prepared, config=CONFIG)
    planned, cohort = planned_facts(prepared, "alpha")
    assert plan_of(planned) == plan_of(facts)
    assert cohort.registration == facts.published[0].registration
    assert [item.cohort_id for item in planned.withheld] == ["closed"]
    assert planned.has_strata == facts.has_strata


def test_a_part_is_linked_only_where_the_release_is_as_open_as_the_study(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_text("cells")
    for mode, umask, is_link in ((0o600, 0o077, True), (0o600, 0o022, False), (0o644, 0o022, True)):
        source.chmod(mode)
        target = tmp_path / f"{mode:o}{umask:o}" / "placed"
        with umask_of(umask):
            place_file(source, target)
        assert target.read_text() == "cells"
        assert os.path.samefile(source, target) == is_link
        assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask
        assert stat.S_IMODE(source.stat().st_mode) == mode


def test_a_file_that_cannot_be_linked_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    source = tmp_path / "source"
    source.write_text("cells")
    place_file(source, tmp_path / "placed")
    assert (tmp_path / "placed").read_text() == "cells"
