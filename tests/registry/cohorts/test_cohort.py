"""A registration is loaded whole, or everything that is wrong with it is named with its fix."""

from __future__ import annotations

import json
import re

import pytest

from cohorts_on_disk import write_cohort
from pmcell.errors import FaultsError, UsageError
from pmcell.registry.cohorts.cohort import (
    find_faults,
    list_cohorts,
    list_programmes,
    load_registration,
    read_matrix,
)


@pytest.fixture
def folder(tmp_path):
    return write_cohort(tmp_path / "cohorts" / "c1")


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def errors(folder):
    return [fault for fault in find_faults(folder) if fault.severity == "error"]


def only_error(folder):
    found = errors(folder)
    assert len(found) == 1, [str(fault) for fault in found]
    return found[0]


def test_a_sound_registration_is_loaded(folder):
    registration = load_registration(folder)
    assert registration.cohort_id == "c1"
    assert [donor.donor_id for donor in registration.donors] == ["d1", "d2"]
    assert registration.samples[2].visit_day is None
    assert registration.samples[0].visit_day == 0.0
    assert registration.samples[0].assay_ontology_term_id == "EFO:0009922"
    assert registration.donor("d1").region == "NL32"
    assert registration.matrix.path == folder / "counts.h5ad"
    assert registration.data_use == ("DUO:0000042",)
    assert [visit.visit for visit in registration.visits()] == ["T0", "T1", "T0"]


def test_the_facts_are_json_without_paths_or_people(folder):
    text = json.dumps(load_registration(folder).facts())
    assert str(folder) not in text
    assert "d1" not in text


def test_a_donor_may_come_from_another_region(folder):
    edit(folder / "donors.tsv", "disease_ontology_term_id\n", "disease_ontology_term_id\tregion\n")
    edit(folder / "donors.tsv", "MONDO:0005148\n", "MONDO:0005148\tunknown\n")
    registration = load_registration(folder)
    assert registration.donor("d1").region == "unknown"
    assert registration.donor("d2").region == "NL32"


def test_a_sample_overrides_the_defaults(folder):
    edit(folder / "samples.tsv", "condition\n", "condition\ttissue_ontology_term_id\n")
    edit(folder / "samples.tsv", "healthy\n", "healthy\tUBERON:0002113\n")
    registration = load_registration(folder)
    assert registration.samples[2].tissue_ontology_term_id == "UBERON:0002113"
    assert registration.samples[0].tissue_ontology_term_id == "UBERON:0000178"


def test_an_empty_batch_is_the_cohort_itself(folder):
    edit(folder / "samples.tsv", "\tb2\t", "\t\t")
    assert load_registration(folder).samples[2].batch_id == "c1"


def test_text_stays_text(folder):
    edit(folder / "donors.tsv", "d2\t", "007\t")
    edit(folder / "samples.tsv", "s3\td2\tT0", "NA\t007\tNO")
    edit(folder / "cohort.yaml", "license: CC-BY-4.0", "license: NO")
    registration = load_registration(folder)
    assert registration.samples[2].sample_id == "NA"
    assert registration.samples[2].donor_id == "007"
    assert registration.samples[2].visit == "NO"
    assert registration.license == "NO"


@pytest.mark.parametrize(
    ("old", "new", "column", "must", "fix"),
    [
        ("title:", "titel:", "titel", "must be a known key", "Did you mean 'title'?"),
        ("id: c1", "id: c2", "id", "must be the name of the cohort's folder", "Rename the folder"),
        ("access: open", "access: opne", "access", "must be one of open", "Did you mean 'open'?"),
        ("region: NL32", "region: NL-UT", "region", "must be a region code", "NUTS in the EU"),
        ("[DUO:0000042]", "[DUO:0000099]", "data_use", "permission or modifier", "DUO:000"),
        ("[DUO:0000042]", "[GRU]", "data_use", "permission or modifier", "DUO:0000042 (general"),
        ("[DUO:0000042]", "[DUO:0000046]", "data_use", "must have one permission", "Add one of"),
        (
            "[DUO:0000042]",
            "[DUO:0000007]",
            "data_use",
            "must name its disease",
            "DUO:0000007 MONDO:0005148",
        ),
        (
            "[DUO:0000042]",
            "['DUO:0000007 UBERON:0000178']",
            "data_use",
            "the disease must be a term of MONDO",
            "For example MONDO:0005148",
        ),
        (
            "EFO:0009922",
            "UBERON:0000178",
            "defaults.assay_ontology_term_id",
            "must be a term of EFO",
            "For example EFO:0009922",
        ),
        ("CL:0000236", "B cell", "values.cell_type.B", "must be a term id", "CL:0000236 B cell"),
        ("counts: X", "counts: raw", "matrix.counts", "must have the form", "X, raw.X or layers"),
        ("format: h5ad", "format: h5da", "matrix.format", "must be one of h5ad", "'h5ad'"),
        (
            "sample_id: sample_id",
            "sample_id: 'constant:a b'",
            "columns.sample_id",
            "constant: must be followed",
            "constant:sample1",
        ),
        ("title: A small", "title: TODO", "title", "must be decided", "Title of the cohort"),
        ("{B: CL:0000236", "{B: TODO", "values.cell_type.B", "must be decided", "cell type 'B'"),
        ("NCBITaxon:9606", "NCBITaxon:10090", "organism_ontology_term_id", "must be NCBITaxon", ""),
        (
            "steward: {name: Ada",
            "steward: {nam: Ada",
            "steward.nam",
            "must be a known key",
            "Did you mean 'name'?",
        ),
    ],
)
def test_a_fault_of_cohort_yaml_is_named_with_its_line_and_fix(folder, old, new, column, must, fix):
    edit(folder / "cohort.yaml", old, new)
    found = [fault for fault in errors(folder) if fault.column == column]
    assert found, [str(fault) for fault in errors(folder)]
    assert must in found[0].must
    assert fix in found[0].fix
    lines = (folder / "cohort.yaml").read_text().splitlines()
    assert new.split(":")[0].strip("[]'{} ").split(" ")[0] in lines[found[0].row - 1]


def test_a_missing_key_is_named_with_its_meaning(folder):
    edit(folder / "cohort.yaml", "region: NL32\n", "")
    fault = only_error(folder)
    assert (fault.column, fault.must) == ("region", "must be given")
    assert "NUTS" in fault.fix


def test_a_misspelt_key_is_one_fault_not_two(folder):
    edit(folder / "cohort.yaml", "access: open", "acess: open")
    assert only_error(folder).column == "acess"


def test_an_unknown_programme_is_answered_with_the_nearest(folder):
    programmes = folder.parent.parent / "programmes"
    programmes.mkdir()
    (programmes / "type2_diabetes.yaml").write_text("id: type2_diabetes\n")
    edit(folder / "cohort.yaml", "programme: t2d", "programme: type2_diabets")
    fault = only_error(folder)
    assert fault.column == "programme"
    assert "Did you mean 'type2_diabetes'?" in fault.fix
    assert list_programmes(programmes) == ["type2_diabetes"]


@pytest.mark.parametrize(
    ("text", "must"),
    [
        ("a: [1\n", "must be valid YAML"),
        ("a: &x 1\nb: *x\n", "must not use anchors or aliases"),
        ("a: !!python/object:os.system x\n", "must not use YAML tags"),
        ("a: !custom x\n", "must not use YAML tags"),
        ("__use_yte__: true\n", "must not switch on the YTE template engine"),
        ("id: a\nid: b\n", "must have each key once"),
        ("- a\n", "must be a mapping"),
    ],
)
def test_dangerous_or_broken_yaml_is_refused(folder, text, must):
    (folder / "cohort.yaml").write_text(text)
    assert any(must in fault.must for fault in errors(folder))


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("a: 1\nb:\n\tc: 2\n", "Indent line 3 with spaces: a tab is none."),
        ("a: 1\ntitle: COVID: a study\n", "behind the first colon of line 2 in quotes"),
        ("title: @home\n", "line 1 in quotes: it begins with @"),
        ("title: `x`\n", "it begins with `"),
        ("access:open\nid: a\n", "a space behind the colon of line 1"),
        ("access\uff1a open\nid: a\n", "Write the colon of line 1 as ':'"),
        ("a:\n  b: 1\n\u00a0\u00a0c: 2\n  d: 3\n", "Indent line 3 with plain spaces"),
        ('path: "C:\\Users\\x"\n', "write ' for \""),
        ("<<<<<<< HEAD\na: 1\n=======\na: 2\n", "Two versions of the file were merged"),
        ("a:\n  b: 1 # x: y\n c: 2\n", "Check indentation"),
        ("keywords: [blood, PBMC #3]\nid: a\n", "the text with # in line 1 in quotes"),
        ("a:\n  b: {c: d #3}\n", "the text with # in line 2 in quotes"),
        ("description: a\n  b #c\n  d\n", "the text with # in line 2 in quotes"),
        ("title: a\u2028b\nid: c\n", "Remove U+2028 from line 1"),
        ("id: c\ntitle: a\x85b\n", "Remove U+0085 from line 2"),
    ],
)
def test_a_line_that_is_no_yaml_is_answered_with_what_is_usual(folder, text, fix):
    (folder / "cohort.yaml").write_text(text, encoding="utf-8")
    fault = next(fault for fault in errors(folder) if fault.reason == "yaml")
    assert fix in fault.fix
    assert not fault.found.startswith("found")


CUT = "must be in quotes where a # behind a blank is part of the text"


@pytest.mark.parametrize(
    ("old", "new", "column", "severity", "fix"),
    [
        ("A small cohort", "Study #3", "title", "error", 'Write it in quotes: "Study #3".'),
        ("A small cohort", "#3", "title", "error", 'Write it in quotes: "#3".'),
        ("A small cohort", "Study #", "title", "error", 'Write it in quotes: "Study #".'),
        ("A small cohort", "Étude 🧬\t#3 b", "title", "error", '"Étude 🧬 #3 b"'),
        ("A small cohort", "Study # 3", "title", "warning", '"Study # 3"'),
        ("name: Ada,", "\n  name: Ada #2\n ,", "steward.name", "error", '"Ada #2"'),
        (
            "license: CC-BY-4.0",
            "license: CC-BY-4.0\nkeywords:\n  - blood #1",
            "keywords[0]",
            "error",
            '"blood #1"',
        ),
        (
            "{barcode: index, sample_id: sample_id, cell_type: kind}",
            "\n  sample_id: Lane #",
            "columns.sample_id",
            "warning",
            '"Lane #"',
        ),
        (
            "{B: CL:0000236, T: CL:0000084}",
            "\n    Type #3: CL:0000236",
            "values.cell_type",
            "error",
            "Put the key that holds the # in quotes.",
        ),
    ],
)
def test_a_text_that_yaml_cuts_off_at_a_sign_is_named(folder, old, new, column, severity, fix):
    edit(folder / "cohort.yaml", old, new)
    found = [fault for fault in find_faults(folder) if fault.column == column]
    assert [(fault.must, fault.severity) for fault in found] == [(CUT, severity)]
    assert fix in found[0].fix


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("A small cohort", "'Study #3'"),
        ("A small cohort", "Study#3"),
        ("A small cohort", "Study   # Title of the cohort"),
        ("A small cohort", "'Study' #3"),
        ("A small cohort", "Study ## a note"),
        ("license: CC-BY-4.0", "license: CC-BY-4.0 #or another"),
        ("access: open", "access: open # everyone"),
        ("name: Ada,", "\n  name: Ada # who answers\n ,"),
        ("region: NL32", "region: NL32 #Utrecht is NL31"),
    ],
)
def test_comments_are_comments(folder, old, new):
    edit(folder / "cohort.yaml", old, new)
    assert find_faults(folder) == []


@pytest.mark.parametrize(
    ("key", "value", "must"),
    [
        *(("title", value, "must be given") for value in ("", "~", "null", "Null", '""', '"  "')),
        ("region", "", "must be given"),
        ("programme", "~", "must be given"),
        ("title", '"a\\bin"', "must not hold control or invisible characters"),
        ("title", '"a\\0"', "must not hold control or invisible characters"),
        ("title", '"a\\u202eb"', "must not hold control or invisible characters"),
        ("title", '"a\\uffffb"', "must not hold control or invisible characters"),
        ("title", '"C:\\new"', "must be one line"),
        ("title", "|\n  a\n  b", "must be one line"),
        ("title", "x" * 10_000, "must have at most 1,000 letters"),
        ("title", "tbd", "must be decided"),
        ("title", "Todo", "must be decided"),
    ],
)
def test_a_text_that_cannot_be_published_is_refused(folder, key, value, must):
    path = folder / "cohort.yaml"
    path.write_text(re.sub(rf"(?m)^{key}:.*", lambda _: f"{key}: {value}", path.read_text()))
    assert only_error(folder).must == must
    assert only_error(folder).column == key


@pytest.mark.parametrize("value", ["|\n  a\n  b", '"a\\nb"', "سلام\u200cها", ">\n  a\n  b"])
def test_a_description_may_have_lines_and_joined_letters(folder, value):
    path = folder / "cohort.yaml"
    path.write_text(path.read_text() + f"description: {value}\n")
    assert find_faults(folder) == []


@pytest.mark.parametrize("entry", ["[DUO: 0000042]", "[[DUO:0000042]]", "[{a: b}, DUO:0000042]"])
def test_terms_of_use_that_are_no_text_are_a_fault(folder, entry):
    text = (folder / "cohort.yaml").read_text()
    (folder / "cohort.yaml").write_text(re.sub(r"(?m)^data_use:.*", f"data_use: {entry}", text))
    assert any(fault.column == "data_use[0]" for fault in errors(folder))


def test_yaml_that_is_not_text_is_refused(folder):
    (folder / "cohort.yaml").write_bytes(b"title: \xff\xfe\n")
    assert only_error(folder).must == "must be UTF-8 text"


@pytest.mark.parametrize(
    ("file", "old", "new", "row", "column", "must"),
    [
        ("donors.tsv", "d2\t", "d1\t", 3, "donor_id", "must stand in one row only"),
        ("donors.tsv", "d2\t", "d 2\t", 3, "donor_id", "must be 1 to 64 letters"),
        ("donors.tsv", "d2\t", "d..2\t", 3, "donor_id", "must be 1 to 64 letters"),
        ("donors.tsv", "d2\t", "d\u0430\t", 3, "donor_id", "must be 1 to 64 letters"),
        ("donors.tsv", "PATO:0000384", "male", 3, "sex_ontology_term_id", "must be one of PATO"),
        ("donors.tsv", "MONDO:0005148", "T2D", 2, "disease_ontology_term_id", "must be a term id"),
        ("samples.tsv", "s2\td1", "s2\td3", 3, "donor_id", "must be a donor of donors.tsv"),
        ("samples.tsv", "s2\t", "s1\t", 3, "sample_id", "must stand in one row only"),
        ("samples.tsv", "\t30\t", "\tday30\t", 3, "visit_day", "must be a number of days"),
        ("samples.tsv", "\tT1\t", "\t2021-03-01\t", 3, "visit", "must never be a date"),
        ("samples.tsv", "healthy", "=1+1", 4, "condition", "must not start with ="),
        ("samples.tsv", "healthy", "+x", 4, "condition", "must not start with ="),
        ("samples.tsv", "healthy", "a\u202eb", 4, "condition", "control or invisible"),
        ("samples.tsv", "healthy", "x" * 10_000, 4, "condition", "must have at most 1,000 letters"),
        ("samples.tsv", "s3\t", "x" * 10_000 + "\t", 4, "sample_id", "must be 1 to 64 letters"),
        ("samples.tsv", "\tT1\t30", "\tT0\t30", 3, "visit_day", "must have one visit_day"),
        ("samples.tsv", "s3\t", "TODO\t", 4, "sample_id", "must be decided"),
    ],
)
def test_a_fault_of_a_table_is_named_with_row_and_column(folder, file, old, new, row, column, must):
    edit(folder / file, old, new)
    assert all(len(str(fault)) < 500 for fault in errors(folder))
    found = [
        fault
        for fault in errors(folder)
        if (fault.file, fault.row, fault.column) == (file, row, column)
    ]
    assert found, [str(fault) for fault in errors(folder)]
    assert must in found[0].must
    assert found[0].fix


def test_two_sexes_of_one_donor_are_a_fault(folder):
    edit(folder / "donors.tsv", "d2\t", "d1\t")
    assert any("one sex" in fault.must for fault in errors(folder))


def test_negative_days_are_numbers_not_formulas(folder):
    edit(folder / "samples.tsv", "\t0\t", "\t-7\t")
    assert load_registration(folder).samples[0].visit_day == -7.0


def test_a_byte_order_mark_does_no_harm(folder):
    path = folder / "donors.tsv"
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    assert load_registration(folder).donors[0].donor_id == "d1"


def test_a_misspelt_column_is_answered_with_the_right_one(folder):
    edit(folder / "samples.tsv", "batch_id", "batchid")
    fault = only_error(folder)
    assert (fault.row, fault.column) == (1, "batchid")
    assert "Did you mean 'batch_id'?" in fault.fix


def test_a_missing_column_is_named(folder):
    edit(folder / "samples.tsv", "sample_id\t", "sampel\t")
    assert "Rename 'sampel' to it" in next(
        fault.fix for fault in errors(folder) if fault.file == "samples.tsv"
    )


def test_a_table_with_commas_is_named(folder):
    path = folder / "donors.tsv"
    path.write_text(path.read_text().replace("\t", ","))
    assert any("must be tab-separated" in fault.must for fault in errors(folder))


def test_missing_files_are_named(folder):
    (folder / "donors.tsv").unlink()
    (folder / "samples.tsv").unlink()
    assert {fault.file for fault in errors(folder)} == {"donors.tsv", "samples.tsv"}


def test_all_faults_are_raised_at_once(folder):
    edit(folder / "cohort.yaml", "access: open", "access: opne")
    edit(folder / "donors.tsv", "PATO:0000384", "male")
    with pytest.raises(FaultsError, match=r"2 faults:(.|\n)*cohort\.yaml(.|\n)*donors\.tsv"):
        load_registration(folder)


def test_a_donor_without_samples_is_a_warning(folder):
    with (folder / "donors.tsv").open("a") as stream:
        stream.write("d9\tunknown\tunknown\n")
    registration = load_registration(folder)
    assert [warning.severity for warning in registration.warnings] == ["warning"]


def test_a_bare_country_is_a_warning(folder):
    edit(folder / "cohort.yaml", "region: NL32", "region: NL")
    assert [fault.severity for fault in find_faults(folder)] == ["warning"]


def test_a_folder_that_is_not_there_is_a_fault(tmp_path):
    assert "must exist" in only_error(tmp_path / "nothing").must


def test_cohorts_are_listed_by_name(folder):
    write_cohort(folder.parent / "a1")
    (folder.parent / "notes").mkdir()
    assert list_cohorts(folder.parent) == ["a1", "c1"]
    with pytest.raises(UsageError, match="cohorts_dir must be a folder"):
        list_cohorts(folder / "nowhere")


def test_the_matrix_is_known_even_when_the_rest_is_wrong(folder):
    edit(folder / "cohort.yaml", "access: open", "access: opne")
    matrix = read_matrix(folder)
    assert matrix is not None
    assert matrix.format == "h5ad"
    (folder / "cohort.yaml").write_text("id: c1\n")
    assert read_matrix(folder) is None


@pytest.mark.parametrize(
    ("doi", "is_good"),
    [
        ("10.1002/(SICI)1097-0258(19980815/30)17:15/16<1661::AID-SIM968>3.0.CO;2-2", True),
        ("10.1000/a{b}c^d", True),
        ("10.1000/a b", False),
        ("10.1000/a“b”", False),
        ('10.1000/a"b', False),
    ],
)
def test_a_doi_may_hold_any_sign_but_spaces_and_quotes(folder, doi, is_good):
    edit(folder / "cohort.yaml", "doi: unknown", f"doi: {json.dumps(doi)}")
    assert [fault.column for fault in errors(folder)] == ([] if is_good else ["source.doi"])


@pytest.mark.parametrize(
    ("text", "must"),
    [
        ("x: " + "[" * 5000 + "]" * 5000, "must be nested at most"),
        ("x: [" + "a, " * 30_000 + "a]", "must have at most"),
    ],
)
def test_a_cohort_file_of_senseless_size_is_refused_at_once(folder, text, must):
    path = folder / "cohort.yaml"
    path.write_text(f"{path.read_text()}{text}\n")
    faults = [fault for fault in errors(folder) if fault.file == "cohort.yaml"]
    assert len(faults) == 1
    assert must in faults[0].must


def test_many_unknown_keys_are_cut_and_counted(folder):
    path = folder / "cohort.yaml"
    path.write_text(path.read_text() + "".join(f"k{number}: v\n" for number in range(3000)))
    unknown = [fault for fault in errors(folder) if fault.reason == "unknown_key"]
    assert len(unknown) == 21
    assert unknown[-1].found.startswith("2,980 more")


def test_a_rule_for_barcodes_without_a_separator_is_named(folder):
    edit(folder / "cohort.yaml", "sample_id: sample_id", "sample_id: 'barcode_prefix:'")
    assert "barcode_prefix:_:last" in only_error(folder).fix


@pytest.mark.parametrize(
    ("old", "new", "fix"),
    [
        ("doi: unknown", "doi: https://doi.org/10.1016/j.x.1", "Write 10.1016/j.x.1."),
        ("doi: unknown", "doi: 'doi:10.1016/j.x.1'", "Write 10.1016/j.x.1."),
        ("url: unknown", "url: www.example.org", "Write https://www.example.org."),
        ("region: NL32", "region: nl32", "Write NL32."),
        ("region: NL32", "region: Utrecht", "Write NL35."),
        ('"1"', "2", "Write 1."),
        ("EFO:0009922", "EFO_0009922", "Write EFO:0009922."),
    ],
)
def test_the_fix_is_what_to_write_and_it_works(folder, old, new, fix):
    path = folder / "cohort.yaml"
    text = path.read_text()
    path.write_text(text.replace(old, new, 1))
    (fault,) = [fault for fault in find_faults(folder) if fault.severity == "error"]
    assert fault.fix == fix
    good = fix.removeprefix("Write ").removesuffix(".")
    path.write_text(text.replace(old, f"{old.partition(': ')[0]}: {good}" if ": " in old else good))
    assert not [fault for fault in find_faults(folder) if fault.severity == "error"]


def test_cells_of_a_mouse_are_never_to_be_called_human(folder):
    edit(folder / "cohort.yaml", "NCBITaxon:9606", "NCBITaxon:10090")
    (fault,) = [fault for fault in find_faults(folder) if fault.severity == "error"]
    assert fault.fix.startswith("Write NCBITaxon:9606 where the cells are human")
