"""The crate of a release as a Provenance Run Crate: references, actions, times, digests."""

from __future__ import annotations

import datetime
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pmcell as pm
from pmcell.io.atomic import sha256_file
from pmcell.publish.facts import load_facts
from pmcell.publish.manifest import file_entries
from pmcell.publish.metadata.crate.rocrate import write_crate
from pmcell.publish.metadata.crate.software import container_image
from pmcell.publish.metadata.crate.workflow import write_workflow
from pmcell.release.digest import CRATE, content_sha256
from pmcell.step import files_of
from pmcell.steps import BY_NAME, STEPS
from results_folder import COHORTS, make_results
from snakemake_records import START, record_flow, record_job, record_study

Entity = dict[str, Any]
CONFIG = {
    "release": {
        "date": "2026-01-31",
        "authors": [{"name": "Ada Byron", "affiliation": "Institute", "ror": "04wxnsj81"}],
        "publisher": {"name": "Institute", "url": "https://ror.org/04wxnsj81"},
    }
}


def make_crate(results: Path, folder: Path) -> dict[str, Entity]:
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text("# Release\n")
    write_workflow(folder)
    target = results / "release"
    started = time.time()
    facts = load_facts(results, config=CONFIG)
    write_crate(
        facts, folder, file_entries(folder), target=target, started=started, later=["site/"]
    )
    return read_crate(folder)


def read_crate(folder: Path) -> dict[str, Entity]:
    graph = json.loads((folder / CRATE).read_text())["@graph"]
    assert len({item["@id"] for item in graph}) == len(graph)
    return {item["@id"]: item for item in graph}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict) and set(value) == {"@id"}:
        yield value["@id"]
    elif isinstance(value, dict):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list):
        for item in value:
            yield from references(item)


def of_type(crate: dict[str, Entity], kind: str) -> list[Entity]:
    return [item for item in crate.values() if kind in listed(item["@type"])]


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def ids(value: Any) -> list[str]:
    return list(references(listed(value)))


def moment(text: str) -> datetime.datetime:
    found = datetime.datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def assert_is_whole(crate: dict[str, Entity]) -> None:
    """What every crate of a run must keep, whatever the workflow."""
    assert set(references(list(crate.values()))) <= set(crate)
    actions = of_type(crate, "CreateAction")
    assert set(ids(crate["./"]["mentions"])) == {action["@id"] for action in actions}
    ordered = {action for item in of_type(crate, "ControlAction") for action in ids(item["object"])}
    assert ordered == {action["@id"] for action in actions} - {"#run", "#run/release"}
    for action in actions:
        assert moment(action["startTime"]) <= moment(action["endTime"])
        assert action["description"]
    for item in of_type(crate, "FormalParameter"):
        examples = [
            one for one in crate.values() if item["@id"] in ids(one.get("exampleOfWork", []))
        ]
        assert examples, item
        kinds = {"PropertyValue": "Text", "Dataset": "Dataset"}
        kind = listed(examples[0]["@type"])[0]
        assert item["additionalType"] == kinds.get(kind, "File")
    for item in crate.values():
        assert [] not in item.values()
        assert not any(isinstance(value, list) and len(value) == 1 for value in item.values())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with the records of the run that made them, to read only."""
    results = make_results(tmp_path_factory.mktemp("recorded"))
    record_study(results, list(COHORTS))
    return results


@pytest.fixture(scope="module")
def crate(recorded: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Entity]:
    return make_crate(recorded, tmp_path_factory.mktemp("crate"))


def test_every_reference_resolves_and_every_job_is_an_action(crate: dict[str, Entity]) -> None:
    assert_is_whole(crate)
    jobs = {action["name"] for action in of_type(crate, "CreateAction")}
    expected = {"Run of the workflow", "make_atlas", "release"}
    for cohort in COHORTS:
        expected |= {f"{rule} {cohort}" for rule in ("intake", "qc")}
        expected.add(f"aggregate {cohort}")
    assert jobs == expected


@pytest.mark.parametrize("by_old_rules", [False, True])
def test_every_step_that_ran_is_an_action_under_its_name_of_today(
    by_old_rules: bool, tmp_path: Path
) -> None:
    results = make_results(tmp_path)
    for path in files_of(BY_NAME["release"].inputs, COHORTS):
        (results / path).touch()
    record_flow(results, list(COHORTS), by_old_rules=by_old_rules)
    crate = make_crate(results, tmp_path / "crate")
    assert_is_whole(crate)
    jobs = {action["name"] for action in of_type(crate, "CreateAction")}
    expected = {"Run of the workflow", "release"}
    for step in STEPS:
        if not step.is_product:
            expected |= {f"{step.name} {name}" for name in (COHORTS if step.per_cohort else [""])}
    assert jobs == {name.strip() for name in expected}
    # A table of clinical values is small: its digest would confirm a guess of what it says.
    files = {item["name"]: item for item in of_type(crate, "File") if "name" in item}
    assert "sha256" not in files["clinical.tsv"]
    assert "sha256" in files["results/atlas/umap.parquet"]


def test_an_action_has_what_the_job_read_wrote_and_was_told(
    crate: dict[str, Entity], recorded: Path
) -> None:
    action = crate["#run/job/intake/alpha"]
    inputs = [crate[name] for name in ids(action["object"])]
    assert {item["name"]: item.get("value") for item in inputs} == {
        "config/cohorts/alpha/cohort.yaml": None,
        "config/cohorts/alpha/donors.tsv": None,
        "config/cohorts/alpha/ward 7 alpha.h5ad": None,
        "min_genes": "5",
    }
    matrix = next(item for item in inputs if item["name"].endswith(".h5ad"))
    assert matrix["sha256"] == sha256_file(recorded.parent / matrix["name"])
    assert "results/cohorts/alpha/intake.h5ad" in {
        crate[name]["name"] for name in ids(action["result"])
    }
    assert moment(action["startTime"]).timestamp() == START
    assert moment(action["endTime"]).timestamp() == START + 2
    assert action["actionStatus"] == "http://schema.org/CompletedActionStatus"


def test_the_release_has_no_end_before_its_end(crate: dict[str, Entity]) -> None:
    for name in ("#run/job/release", "#run"):
        assert "actionStatus" not in crate[name]
        assert "had not ended" in crate[name]["description"]
        assert ids(crate[name]["result"]) == ["./"]
        assert crate[name]["endTime"] == crate["#run/job/release"]["endTime"]


def test_the_workflow_is_in_the_crate_with_its_steps(crate: dict[str, Entity]) -> None:
    root = crate["./"]
    assert len(root["conformsTo"]) == 4
    workflow = crate[ids(root["mainEntity"])[0]]
    assert workflow["@id"] == "workflow/Snakefile"
    assert workflow["sha256"]
    assert "workflow/rules/atlas.smk" in ids(crate["workflow/"]["hasPart"])
    assert [crate[name]["name"] for name in ids(workflow["step"])] == [
        "intake",
        "qc",
        "make_atlas",
        "aggregate",
        "release",
    ]
    made = [
        crate[name]["sourceParameter"]["@id"]
        for name in ids(crate["#run/rule/qc/step"]["connection"])
    ]
    assert all(name.startswith("#run/rule/intake/out/") for name in made)
    assert crate["site/"] == {
        "@id": "site/",
        "@type": "Dataset",
        "name": "site",
        "description": crate["site/"]["description"],
    }


def test_software_has_the_installed_versions(crate: dict[str, Entity]) -> None:
    from importlib import metadata

    engine = crate[ids(of_type(crate, "OrganizeAction")[0]["instrument"])[0]]
    assert engine["softwareVersion"] == metadata.version("snakemake")
    versions = {
        item["name"]: item["softwareVersion"] for item in of_type(crate, "SoftwareApplication")
    }
    assert versions["pmcell"] == pm.__version__
    for name in ("numpy", "anndata", "numba"):
        assert versions[name] == metadata.version(name)


def test_nothing_private_is_told(crate: dict[str, Entity], recorded: Path) -> None:
    text = json.dumps(crate)
    for secret in (str(recorded.parent), str(Path.home()), os.uname().nodename, "ward 7 closed"):
        assert secret not in text
    assert not re.search(r"(alpha|alpha-2|closed):[DS]\d", text)
    for item in crate.values():
        if "closed" in str(item.get("name")) and item["@type"] == "File":
            assert not {"sha256", "contentSize"} & set(item)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", crate["#run/job/qc/closed"]["startTime"])


def test_without_records_the_crate_says_so(shared_results: Path, tmp_path: Path) -> None:
    crate = make_crate(shared_results, tmp_path / "crate")
    assert_is_whole(crate)
    assert ids(crate["./"]["conformsTo"]) == [
        "https://w3id.org/ro/wfrun/process/0.5",
        "https://w3id.org/workflowhub/workflow-ro-crate/1.0",
    ]
    (action,) = of_type(crate, "CreateAction")
    assert "not recorded" in action["description"]
    assert crate[ids(action["instrument"])[0]]["name"] == "pmcell"


def test_a_release_written_by_hand_is_no_job_of_the_run(results: Path, tmp_path: Path) -> None:
    record_study(results, list(COHORTS), running=False)
    crate = make_crate(results, tmp_path / "crate")
    assert_is_whole(crate)
    assert "#run/rule/release" not in crate
    assert crate["#run"]["actionStatus"].endswith("CompletedActionStatus")
    assert "is recorded here" in crate["#run/release"]["description"]


def test_the_record_of_the_run_is_no_part_of_the_content(
    recorded: Path, shared_results: Path, tmp_path: Path
) -> None:
    make_crate(recorded, tmp_path / "one")
    make_crate(shared_results, tmp_path / "two")
    one, two = (tmp_path / name / CRATE for name in ("one", "two"))
    assert one.read_bytes() != two.read_bytes()
    assert content_sha256(one) == content_sha256(two)
    two.write_text(two.read_text().replace('"name": "Ada Byron"', '"name": "Eve"'))
    assert content_sha256(one) != content_sha256(two)


def test_ten_thousand_jobs_are_written_in_seconds(tmp_path: Path) -> None:
    from pmcell.publish.metadata.contents import media_type
    from pmcell.publish.metadata.crate.document import crate_text
    from pmcell.publish.metadata.crate.provenance import describe_run
    from pmcell.publish.metadata.crate.provenance_records import Job
    from pmcell.publish.metadata.crate.run import Setting, run_entities
    from pmcell.publish.provenance_paths import PathRules

    jobs = [
        Job(
            f"rule_{step}",
            inputs=(f"results/cohorts/c{number}/{step}",),
            outputs=(f"results/cohorts/c{number}/{step + 1}",),
            start=START + step,
            end=START + step + 1,
        )
        for number in range(1_000)
        for step in range(10)
    ]
    rules = PathRules(tmp_path, "results", frozenset(f"c{number}" for number in range(1_000)))
    run = describe_run(jobs, rules)
    engine = {"@id": "https://e.org", "name": "engine", "softwareVersion": "1"}
    text = crate_text(run_entities(run, Setting([], "Snakefile", engine, [], START, media_type)))
    assert text.count('"CreateAction"') == 10_001
    assert len(text) < 20_000_000


def test_a_container_is_told_with_registry_name_and_tag() -> None:
    image = container_image("docker://ghcr.io/owner/tool:1.2")
    assert (image["registry"], image["name"], image["tag"]) == ("ghcr.io", "owner/tool", "1.2")
    assert image["additionalType"]["@id"].endswith("#DockerImage")
    assert container_image("docker://ubuntu")["registry"] == "docker.io"


SNAKEFILE = """
rule add:
    input: expand("out/{name}.count", name=["a", "b"])
    output: "out/total.txt"
    shell: "cat {input} > {output}"

include: "rules/count.smk"
"""
RULES = """
rule count:
    input: "data/{name}.txt"
    output: "out/{name}.count"
    params: flag="-l"
    shell: "wc {params.flag} < {input} > {output}"
"""


def snakemake(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--quiet", "all", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_report_plugin_writes_the_crate_of_any_workflow(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    (tmp_path / "rules" / "count.smk").write_text(RULES)
    for name in ("a", "b"):
        (tmp_path / "data" / f"{name}.txt").write_text(f"{name}\n")
    snakemake(tmp_path)
    snakemake(tmp_path, "--reporter", "wrroc", "--report-wrroc-path", "crate")
    crate = read_crate(tmp_path / "crate")
    assert_is_whole(crate)
    assert {item["name"] for item in of_type(crate, "CreateAction")} == {
        "Run of the workflow",
        "count a",
        "count b",
        "add",
    }
    count = crate["#run/job/count/a"]
    assert count["description"] == "wc -l < data/a.txt > out/a.count"
    assert [crate[name]["name"] for name in ids(count["object"])] == ["data/a.txt", "flag"]
    assert crate["#run/file/out/total.txt"]["sha256"] == sha256_file(tmp_path / "out" / "total.txt")
    assert sorted(ids(crate["./"]["hasPart"])) == [
        "README.md",
        "workflow/Snakefile",
        "workflow/rules/count.smk",
    ]
    assert str(tmp_path) not in json.dumps(crate)
    assert crate["./"]["license"] == {"@id": "#licence/not-stated"}

    options = ["--report-wrroc-license", "CC0-1.0", "--report-wrroc-author", "Ada Byron"]
    snakemake(tmp_path, "--reporter", "wrroc", "--report-wrroc-path", ".", *options)
    crate = read_crate(tmp_path)
    assert_is_whole(crate)
    assert "out/total.txt" in ids(crate["./"]["hasPart"])
    assert ids(crate["./"]["mainEntity"]) == ["Snakefile"]
    for item in of_type(crate, "File"):
        assert item["sha256"] == sha256_file(tmp_path / item["@id"])


def test_files_that_are_gone_are_told_as_gone(tmp_path: Path) -> None:
    from pmcell.publish.metadata.crate.provenance import describe_run
    from pmcell.publish.metadata.crate.provenance_records import read_jobs
    from pmcell.publish.provenance_paths import PathRules

    record_job(
        tmp_path, "make", ["raw.txt"], ["gone.txt"], input_checksums={"raw.txt": "sha256:ab"}
    )
    run = describe_run(read_jobs(tmp_path, ["gone.txt"]), PathRules(tmp_path))
    assert run.files["gone.txt"].sha256 == ""
    assert "No longer there" in run.files["gone.txt"].description
    assert run.files["raw.txt"].sha256 == "ab"
