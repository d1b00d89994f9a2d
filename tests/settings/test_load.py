"""A configuration is read whole: every fault at once, with its line and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmcell.settings import load
from pmcell.settings.atlas import ClusterSettings, NeighborsSettings, UmapSettings
from pmcell.settings.load import SettingsError, load_section, load_settings
from pmcell.settings.release import ReleaseSettings
from pmcell.settings.table import SETTINGS


def config(folder: Path, text: str) -> Path:
    path = folder / "config.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def faults_of(folder: Path, text: str) -> list[str]:
    """What is said of a configuration, a line for each fault, without the folder."""
    with pytest.raises(SettingsError) as error:
        load_settings(config(folder, text))
    return str(error.value).replace(f"{folder}/", "").splitlines()


def fault_of(folder: Path, text: str) -> str:
    (fault,) = faults_of(folder, text)
    return fault


@pytest.mark.parametrize("text", ["", "# nothing\n", "qc:\n", "cluster: {}\n", "qc: {seed: }\n"])
def test_what_says_nothing_gives_the_defaults(tmp_path, text):
    found = load_settings(config(tmp_path, text))
    assert all(found.of(model) == model() for model in SETTINGS.values())
    assert found.study.cohorts_dir == "config/cohorts"


def test_what_is_given_takes_the_place_of_a_default(tmp_path):
    text = "cohorts: [a, b]\ncluster: {resolution: 2, seed: 7}\numap: {min_dist: 0.1}\n"
    found = load_settings(config(tmp_path, text))
    assert found.study.cohorts == ("a", "b")
    assert found.of(ClusterSettings) == ClusterSettings(resolution=2.0, seed=7)
    assert found.of(UmapSettings).min_dist == 0.1
    assert found.given["cluster"] == {"resolution": 2, "seed": 7}


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (
            "cluster: {resolutoin: 2}",
            "config.yaml, line 1, cluster.resolutoin: must be a key of cluster; "
            "found 'resolutoin'. Did you mean 'resolution'?",
        ),
        (
            "cluster:\n  seed: 1\n  resolution: high",
            "config.yaml, line 3, cluster.resolution: must be a number above 0, at most 1000000; "
            "found the text 'high'. Correct it; the default is 1.0.",
        ),
        (
            "verify: {x: 1}",
            "config.yaml, line 1, verify: must be a section that there is; found 'verify'. There "
            "are cohorts_dir, cohorts, matrix_paths, ",
        ),
        ("qcc: {n_mads: 3}", "found 'qcc'. Did you mean 'qc'?"),
        ("report: {}", "must be a section that there is; found 'report'."),
        ("resolution: 2", "Is it meant for section cluster?"),
        ("n_null: 99", "Is it meant for section strata?"),
        ("gene_stats: {a: 1}", "gene_stats has no settings; found 'a'. Remove it."),
        ("covariance: {seed: 1}", "covariance has no settings; found 'seed'. Remove it."),
        ("integrate: {theta: -1}", "must be a number from 0; found -1."),
        (
            "umap: {min_dist: 2}",
            "not be above spread; found min_dist 2 with spread 1",
        ),
        ("qc: [1]", "line 1, qc: must hold keys and values; found [1]."),
        ("qc: 3", "must hold keys and values; found 3. Write `qc: {KEY: VALUE}`"),
        ("cohorts: liu_b1", "cohorts: must be a list of text such as liu_b1, each once"),
        ("cohorts: [2024]", "cohorts[0]: must be a text such as liu_b1; found 2024. Write '2024'"),
        ("cohorts: [../a]", "cohorts[0]: must be a text such as liu_b1; found the text '../a'"),
        (
            "strata: {covariates: age}",
            "texts, each once; found the text 'age'. Write [age]",
        ),
        ("strata: {covariates: [age, age]}", "must name each once, and names 'age' 2 times"),
        ("strata: {channels: [stat]}", "found ['stat']. Did you mean 'state'?"),
        (
            "strata: {survival: {time: days}}",
            "survival: must have event (column of the event",
        ),
        ("strata: {survival: {time: a, event: b, x: c}}", "must be a key of strata.survival"),
        ("strata: {n_null: 39}", "n_null must be at least 139 with channels 'clearest'"),
        ("strata: {n_null: 19, alpha: 0.01, channels: all}", "n_null must be at least 99"),
        ("strata: {clinical: values.xlsx}", "must be a text such as clinical.tsv"),
        (
            "differential_expression: {contrasts: []}",
            "a list of texts, each once, at least one; found []",
        ),
        ("seal: {cohorts: {a: [x]}}", "cohorts.a must list names of seal.recipients"),
        ("release: {version: [1]}", "release.version: must be a text"),
    ],
)
def test_a_fault_is_named_with_its_line_what_must_hold_and_what_to_do(tmp_path, text, fault):
    assert fault in fault_of(tmp_path, text + "\n")


@pytest.mark.parametrize(
    "value",
    [
        "true",
        "'5'",
        '"5"',
        "2.5",
        "5.0",
        ".nan",
        ".inf",
        "1e3",
        "[5]",
        "{a: 5}",
        "-1",
        "1e400",
        "9" * 5000,
    ],
)
def test_what_is_no_whole_number_is_refused(tmp_path, value):
    said = fault_of(tmp_path, f"neighbors: {{n_neighbors: {value}}}\n")
    assert "line 1, neighbors.n_neighbors: must be a whole number from 2" in said
    assert len(said) < 1100


@pytest.mark.parametrize(
    "value", ["true", "no", "'0.5'", ".nan", "-.inf", "1e-3", "2026-01-31", "[1]"]
)
def test_what_is_no_number_is_refused(tmp_path, value):
    said = fault_of(tmp_path, f"neighbors: {{recall: {value}}}\n")
    assert "line 1, neighbors.recall: must be a number above 0, at most 1" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "umap: {min_dist: 1e-3}",
            "text '1e-3'. Write 0.001: YAML reads 1e-3 as a text.",
        ),
        ("umap: {min_dist: 1e-10}", "Write 1.0e-10: YAML reads 1e-10 as a text."),
        ("hvg: {n_top: 1e3}", "Write 1000: YAML reads 1e3 as a text."),
        ("hvg: {n_top: 1e-3}", "Correct it; the default is 2000."),
        ("umap: {min_dist: '-1'}", "Correct it; the default is 0.5."),
        ("umap: {min_dist: '0.1'}", "Write 0.1, without quotes."),
        ("neighbors: {weights: no}", "found false (YAML reads no so). Choose umap or snn."),
        ("strata: {leave_out: no}", "found false (YAML reads no so). Write 'no', with quotes."),
        ("release: {title: 2024}", "Write '2024', with quotes."),
        ("release: {title: no}", "Write 'no', with quotes."),
        ("release: {title: 2024-01-31}", "Write '2024-01-31', with quotes."),
        ("release:\n  title: Atlas #2", 'Write it in quotes: "Atlas #2".'),
        ("release:\n  authors:\n    - Ada #1", 'Write it in quotes: "Ada #1".'),
        ("release:\n  rai:\n    dataBiases: see #2", 'Write it in quotes: "see #2".'),
        ('release: {title: "a\\0"}', "must not hold control or invisible characters"),
        ("qc: {min_counts: 010}", "found 010, which YAML reads as 8. Write 8"),
        ("qc: {min_counts: 1:30}", "found 1:30, which YAML reads as 90. Write 90"),
        ("qc: {min_counts: 0x1f}", "found 0x1f, which YAML reads as 31. Write 31"),
    ],
)
def test_what_yaml_makes_of_a_value_is_explained(tmp_path, text, said):
    assert said in fault_of(tmp_path, text + "\n")


def test_the_fix_that_is_offered_works(tmp_path):
    for value in ("0.001", "1.0e-10"):
        found = load_settings(config(tmp_path, f"umap: {{min_dist: {value}}}\n"))
        assert found.of(UmapSettings).min_dist == float(value)


def test_all_faults_of_a_file_are_named_at_once_in_their_order(tmp_path):
    text = """\
verify: {x: 1}
cluster: {resolutoin: 2, seed: -1}
umap:
  min_dist: 1e-3
qc: {n_mads: 3}
qc: {n_mads: 4}
release: {authors: [{nam: x}], doi: abc}
"""
    said = faults_of(tmp_path, text)
    lines = [int(fault.split("line ")[1].split(",")[0]) for fault in said]
    assert lines == [1, 2, 2, 4, 6, 7, 7]
    assert "config.yaml, line 6, qc: must be given once; line 5 has it too" in said[4]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("qc: {n_mads: 3", "line 1: must be valid YAML"),
        ("qc:\n\tn_mads: 3\n", "line 2: must be valid YAML"),
        ("- qc\n", "must hold keys and values"),
        ("just words\n", "must hold keys and values"),
        ("qc: !!python/object:os.system {}\n", "line 1, qc: must use no YAML tag"),
        ("qc: !!set {a, b}\n", "must use no YAML tag"),
        ("a: &a [*a]\n", "must be valid YAML"),
        ("x: &x {n_mads: 3}\nqc: {<<: *x}\n", "qc.<<: must not merge mappings"),
        ("? [a]\n: 1\n", "must have texts as keys"),
        ("--- \nqc: {}\n---\nqc: {}\n", "must be valid YAML"),
        ("qc: \x01\n", "must be valid YAML"),
        ("[" * 5000, "must be valid YAML"),
    ],
)
def test_what_is_no_configuration_at_all_is_a_sentence(tmp_path, text, said):
    assert any(said in fault for fault in faults_of(tmp_path, text))


def test_aliases_cannot_grow_without_bound(tmp_path):
    lines = ["a: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert any(
        "alias that stands for so many" in fault for fault in faults_of(tmp_path, "\n".join(lines))
    )


def test_an_alias_is_read_as_what_it_stands_for(tmp_path):
    text = "cluster: {seed: &seed 5}\numap: {seed: *seed}\n"
    assert load_settings(config(tmp_path, text)).of(UmapSettings).seed == 5


def test_a_file_that_is_no_text_or_far_too_large_is_refused(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_bytes(b"qc: \xff\xfe\n")
    with pytest.raises(SettingsError, match="must be UTF-8 text"):
        load_settings(path)
    path.write_text("#" * 2_000_000)
    with pytest.raises(SettingsError, match="must have at most 1,000,000 bytes"):
        load_settings(path)


def test_a_long_key_and_a_long_value_are_cut_short(tmp_path):
    said = faults_of(tmp_path, f"? {'x' * 50_000}\n: 1\ncluster: {{resolution: {'y' * 50_000}}}\n")
    assert len(said) == 2
    assert all(len(fault) < 1100 for fault in said)


def test_a_number_or_day_of_a_release_is_taken_as_it_is_written(tmp_path):
    text = "release: {version: 1.10, date: 2026-01-31}\n"
    found = load_settings(config(tmp_path, text))
    assert found.of(ReleaseSettings).version == "1.10"
    assert found.of(ReleaseSettings).date == "2026-01-31"
    assert found.given["release"] == {"version": "1.10", "date": "2026-01-31"}
    said = fault_of(tmp_path, "release: {date: 2026-02-30}\n")
    assert "release.date: must be a day like 2026-01-31" in said


def test_a_step_reads_its_own_section_whatever_stands_in_the_others(tmp_path):
    path = config(tmp_path, "qc: {other: 1}\ncluster: {resolution: 2.5}\n")
    assert load_section(ClusterSettings, path).resolution == 2.5
    assert load_section(ClusterSettings, None).resolution == 1.0


def test_an_option_beats_the_file_and_a_wrong_one_is_named_as_an_option(tmp_path):
    path = config(tmp_path, "neighbors: {n_neighbors: 20, recall: 0.9}\n")
    found = load_section(NeighborsSettings, path, {"n_neighbors": 5})
    assert (found.n_neighbors, found.recall) == (5, 0.9)
    with pytest.raises(SettingsError, match=r"^--n-neighbors: must be a whole number from 2"):
        load_section(NeighborsSettings, path, {"n_neighbors": 1})
    config(tmp_path, "neighbors: {n_neighbors: many, recall: 0.9}\n")
    assert load_section(NeighborsSettings, path, {"n_neighbors": 5}).n_neighbors == 5


def test_a_rule_across_settings_holds_between_options_and_the_file(tmp_path):
    path = config(tmp_path, "umap: {spread: 2}\n")
    assert load_section(UmapSettings, path, {"min_dist": 1.5}).min_dist == 1.5
    with pytest.raises(SettingsError, match="min_dist must not be above spread"):
        load_section(UmapSettings, path, {"min_dist": 3.0})


def test_what_the_configuration_names_must_be_in_the_study(tmp_path):
    (tmp_path / "config" / "cohorts" / "liu_b1").mkdir(parents=True)
    text = """\
cohorts: [liu_b1, liu_b11]
resources: model.yaml
strata: {clinical: clinical.tsv}
differential_expression: {gene_sets: sets.gmt}
seal: {recipients: {region: region.pub}}
"""
    with pytest.raises(SettingsError) as error:
        load_settings(config(tmp_path, text), study=tmp_path)
    said = str(error.value)
    assert "line 1, cohorts[1]: must name folders in" in said
    assert "found 'liu_b11'. Did you mean 'liu_b1'?" in said
    places = (
        "2, resources",
        "3, strata.clinical",
        "4, differential_expression.gene_sets",
        "5, seal.recipients.region",
    )
    for place in places:
        assert f"line {place}: must name a file, relative to the study folder" in said
    for name in ("model.yaml", "clinical.tsv", "sets.gmt", "region.pub"):
        (tmp_path / name).write_text("")
    config(tmp_path, text.replace(", liu_b11", ""))
    assert load_settings(tmp_path / "config.yaml", study=tmp_path).study.cohorts == ("liu_b1",)


def test_a_section_by_an_old_name_is_read_and_its_faults_keep_their_lines(tmp_path, monkeypatch):
    monkeypatch.setattr(load, "ALIASES", {"leiden": "cluster"})
    found = load_settings(config(tmp_path, "leiden: {resolution: 3}\n"))
    assert found.of(ClusterSettings).resolution == 3
    assert found.given == {"cluster": {"resolution": 3}}
    assert found.old_names == ("leiden",)
    assert "line 2, cluster.seed" in fault_of(tmp_path, "leiden:\n  seed: x\n")
    both = fault_of(tmp_path, "leiden: {seed: 1}\ncluster: {seed: 2}\n")
    assert "must be given once: 'leiden' is the old name of 'cluster'" in both


def test_a_cohort_that_is_named_twice_is_a_fault_of_its_line(tmp_path):
    with pytest.raises(SettingsError, match=r"line 1, cohorts: must name each once.*'a' 2 times"):
        load_settings(config(tmp_path, "cohorts: [a, a]\n"))


@pytest.mark.parametrize("text", ["", "# all as it is\n", "\n\n"])
def test_a_study_whose_configuration_holds_no_key_is_told_before_snakemake_refuses_it(
    tmp_path, text
):
    with pytest.raises(SettingsError, match="must hold keys and values; found nothing"):
        load_settings(config(tmp_path, text), study=tmp_path)
    assert load_settings(tmp_path / "config.yaml").given == {}
