"""Tables of any separator are read as they were meant, or what was seen is named with a fix."""

from __future__ import annotations

import bz2
import gzip
import re

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from pmcell.errors import DataError
from pmcell.io.submitted.readers import inspect, iter_counts
from pmcell.io.submitted.text_dialect import sniff_dialect
from submissions import GENES


def dense(submission):
    return sp.vstack([block for _, block in iter_counts(submission)]).toarray()


def table(path, values, rows, columns, *, sep, corner=True, quote="", number=str, encoding="utf-8"):
    def quoted(name):
        return f"{quote}{name}{quote}"

    header = [*([quoted("")] if corner else []), *map(quoted, columns)]
    lines = [sep.join(header)]
    lines += [
        sep.join([quoted(name), *map(number, row)])
        for name, row in zip(rows, values.tolist(), strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding=encoding)
    return path


@pytest.mark.parametrize("genes_first", [True, False])
@pytest.mark.parametrize(
    ("name", "more", "said"),
    [
        ("a.csv", {"sep": ";"}, "separated by semicolons"),
        ("a.csv", {"sep": "|"}, "separated by bars"),
        ("a.csv", {"sep": ";", "quote": '"'}, "separated by semicolons"),
        ("a.csv", {"sep": ";", "number": lambda v: f"{v},0"}, "semicolons and decimal commas"),
        ("a.tsv", {"sep": "\t", "number": lambda v: f"{v},00"}, "tabs and decimal commas"),
        ("a.txt", {"sep": " ", "quote": '"', "corner": False}, "separated by spaces"),
        ("a.txt", {"sep": " "}, "separated by spaces"),
        ("a.csv", {"sep": ",", "encoding": "utf-8-sig"}, "separated by commas"),
    ],
)
def test_every_separator_gives_the_same_counts(
    tmp_path, counts, barcodes, name, more, said, genes_first
):
    values, rows, columns = (
        (counts.T, GENES, barcodes) if genes_first else (counts, barcodes, GENES)
    )
    path = table(tmp_path / name, values, rows, columns, **more)
    submission = inspect(path)
    assert said in str(submission.detail["dialect"])
    np.testing.assert_array_equal(dense(submission), counts)


@pytest.mark.parametrize(
    ("name", "sep", "seen", "fmt"),
    [
        ("a.csv", "\t", "tabs", "tsv"),
        ("a.csv", " ", "spaces", "tsv"),
        ("a.tsv", ",", "commas", "csv"),
        ("a.tsv", ";", "semicolons", "csv"),
    ],
)
def test_a_separator_of_the_other_format_is_named_and_that_format_reads_it(
    tmp_path, counts, barcodes, name, sep, seen, fmt
):
    path = table(tmp_path / name, counts.T, GENES, barcodes, sep=sep)
    message = rf"found {seen}. Set matrix.format in cohort.yaml to {fmt}\."
    with pytest.raises(DataError, match=message):
        inspect(path)
    np.testing.assert_array_equal(dense(inspect(path, fmt)), counts)


def test_a_comma_that_may_be_a_decimal_or_a_thousand_is_refused(tmp_path, counts, barcodes):
    path = table(
        tmp_path / "a.csv", counts.T, GENES, barcodes, sep=";", number=lambda v: f"{v + 1},000"
    )
    with pytest.raises(DataError, match=r"found '\d,000'. Write it without a comma"):
        inspect(path)


def test_columns_that_are_no_genes_are_all_named_with_the_line_that_removes_them(
    tmp_path, counts, barcodes, monkeypatch
):
    path = table(tmp_path / "a.csv", counts, barcodes, GENES, sep=",")
    frame = pd.read_csv(path, index_col=0)
    frame.insert(0, "sample", "s1")
    frame["percent.mt"] = 0.05
    frame["nCount_RNA"] = counts.sum(1)
    frame.to_csv(path)
    named = r"found 3 other columns \('sample', 'percent.mt', 'nCount_RNA'\)"
    with pytest.raises(DataError, match=named) as error:
        inspect(path)
    assert error.value.reason == "other_columns"
    command = re.search(r"pandas\..*\.to_csv\('counts.csv'\)", str(error.value)).group()
    monkeypatch.chdir(tmp_path)
    exec(command, {"pandas": pd})
    np.testing.assert_array_equal(dense(inspect(tmp_path / "counts.csv")), counts)


def test_columns_beside_cells_are_named_too(tmp_path, counts, barcodes):
    path = table(tmp_path / "a.tsv", counts.T, GENES, barcodes, sep="\t")
    frame = pd.read_csv(path, sep="\t", index_col=0)
    frame.insert(0, "Chr", "chr1")
    frame.insert(1, "Length", 1000)
    frame.to_csv(path, sep="\t")
    with pytest.raises(DataError, match=r"\('Chr', 'Length'\).*sep='\\t'"):
        inspect(path)


@pytest.mark.parametrize(
    ("data", "seen", "encoding"),
    [
        ("id\tCD3E\tLYZ\nzellé\t1\t2\n".encode("utf-16"), "UTF-16", "UTF-16"),
        ("id\tCD3E\tLYZ\nzellé\t1\t2\n".encode("latin-1"), "byte 0xe9", "WINDOWS-1252"),
    ],
)
def test_other_encodings_are_named_with_the_command_that_converts(tmp_path, data, seen, encoding):
    path = tmp_path / "a.tsv"
    path.write_bytes(data)
    with pytest.raises(DataError, match=f"found {seen}. .*iconv -f {encoding} -t UTF-8 a.tsv"):
        inspect(path)


@pytest.mark.parametrize(
    "before", ["sep=;\n", "sep=;\r\n", "# made by us\n#\n", "\n\n", "# a;b;c\n\nsep=;\n"]
)
def test_lines_above_the_header_that_are_no_part_of_the_table_are_passed_over(
    tmp_path, counts, barcodes, before
):
    path = table(tmp_path / "a.csv", counts, barcodes, GENES, sep=";")
    path.write_bytes(before.encode() + path.read_bytes())
    np.testing.assert_array_equal(dense(inspect(path)), counts)


def test_a_header_that_begins_with_a_hash_is_the_header(tmp_path, counts, barcodes):
    path = table(tmp_path / "a.csv", counts, barcodes, GENES, sep=",")
    path.write_text(f"#id{path.read_text()}")
    np.testing.assert_array_equal(dense(inspect(path)), counts)


def test_a_title_above_the_header_is_to_be_removed(tmp_path, counts, barcodes):
    path = table(tmp_path / "a.csv", counts, barcodes, GENES, sep=",")
    path.write_text(f"Counts of our study\n{path.read_text()}")
    with pytest.raises(DataError, match=r"found 1 line above them \('Counts of our study'\)"):
        inspect(path)


@pytest.mark.parametrize(
    ("value", "fix"),
    [
        ("", "Write 0 where nothing was counted"),
        ("NA", "Write 0 where nothing was counted"),
        ('"1,000"', "Write numbers without commas: 1000"),
        ("many", "Correct the value"),
    ],
)
def test_a_value_that_is_no_number_is_named_with_its_line_and_its_fix(
    tmp_path, counts, barcodes, value, fix
):
    path = table(tmp_path / "a.csv", counts, barcodes, GENES, sep=",")
    lines = path.read_text().split("\n")
    cells = lines[3].split(",")
    lines[3] = ",".join([*cells[:2], value, *cells[3:]])
    path.write_text("\n".join(["# ours", *lines]))
    with pytest.raises(DataError, match=rf"row 5, column '{GENES[1]}'.*{fix}"):
        inspect(path)


def test_a_file_that_is_no_table_says_what_was_found(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("some words\nmore\n")
    with pytest.raises(DataError, match="found 1 and 1 fields"):
        sniff_dialect(path, "csv")
    path.write_text("\n")
    with pytest.raises(DataError, match="found nothing") as error:
        sniff_dialect(path, "csv")
    assert error.value.reason == "empty_file"


@pytest.mark.parametrize("axis", ["row", "column"])
@pytest.mark.parametrize("name", ["Total", "SUM", "rowSums", "Gesamt"])
def test_sums_of_rows_and_columns_are_no_cells(tmp_path, counts, barcodes, axis, name):
    rows = [*barcodes[:-1], name] if axis == "row" else barcodes
    columns = GENES if axis == "row" else [*GENES[:-1], name]
    path = table(tmp_path / "a.csv", counts, rows, columns, sep=",")
    with pytest.raises(DataError, match=f"adds them up .'{name}'.") as error:
        inspect(path)
    fix = re.search(r"Remove it: (pandas.*)\.to_csv", str(error.value))[1]
    left = eval(fix.replace("'a.csv'", repr(str(path))), {"pandas": pd})  # noqa: S307
    assert name not in [*left.index, *left.columns]
    assert left.size == counts.size - counts.shape[1 if axis == "row" else 0]


def test_a_row_for_each_count_is_named_and_the_fix_turns_it(tmp_path, counts, barcodes):
    cells, genes = np.nonzero(counts)
    rows = [f"{GENES[g]},{barcodes[c]},{counts[c, g]}" for c, g in zip(cells, genes, strict=True)]
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["gene,cell,n", *rows]))
    with pytest.raises(DataError, match="found a row for each count") as error:
        inspect(path)
    fix = re.search(r"Turn it: (pandas.*)\.to_csv", str(error.value))[1]
    made = eval(fix.replace("'a.csv'", repr(str(path))), {"pandas": pd})  # noqa: S307
    wanted = pd.DataFrame(counts.T, GENES, barcodes).loc[made.index, made.columns]
    pd.testing.assert_frame_equal(made, wanted, check_dtype=False, check_names=False)


def test_a_table_that_is_packed_twice_says_so(tmp_path, counts, barcodes):
    path = table(tmp_path / "a.csv", counts, barcodes, GENES, sep=",")
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(gzip.compress(path.read_bytes())))
    with pytest.raises(DataError, match=r"found gzip within gzip\. Unpack it: gunzip -c a\.csv"):
        inspect(packed)
    packed.write_bytes(gzip.compress(bz2.compress(path.read_bytes())))
    with pytest.raises(DataError, match="found bzip2 within gzip"):
        inspect(packed)


def rows_of(counts, barcodes, number=str, end=""):
    lines = [",".join(["cell", *GENES]) + end]
    lines += [
        ",".join([name, *map(number, row)]) + end
        for name, row in zip(barcodes, counts.tolist(), strict=True)
    ]
    return lines


def test_separators_at_the_end_of_rows_make_no_columns(tmp_path, counts, barcodes):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(rows_of(counts, barcodes, end=",,")))
    submission = inspect(path)
    assert list(submission.var.index) == GENES
    np.testing.assert_array_equal(dense(submission), counts)
    path.write_text(path.read_text() + "\nlast," + "1," * len(GENES) + ",7")
    with pytest.raises(DataError, match="found a value in column 14, which has none"):
        inspect(path)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (lambda v: "1_0" if v == 3 else str(v), "found '1_0'. Correct the value"),
        (lambda v: f"{v}_", "No value of the row is a plain number: write them so"),
        (lambda v: f"{v}%", "No value of the row is a plain number: write them so"),
        (lambda v: f"'{v}", "No value of the row is a plain number: write them so"),
        (hex, "No value of the row is a plain number: write them so"),
    ],
)
def test_what_python_or_a_person_alone_takes_for_a_number_is_named(
    tmp_path, counts, barcodes, number, said
):
    path = tmp_path / "a.csv"
    path.write_text(
        "\n".join(rows_of(np.hstack([counts] * 2), barcodes, number)).replace(
            ",".join(GENES), ",".join([*GENES, *(f"{name}-AS1" for name in GENES)])
        )
    )
    with pytest.raises(DataError, match=re.escape(said)):
        inspect(path)


def test_a_row_of_units_is_to_be_removed(tmp_path, counts, barcodes):
    head, *rows = rows_of(counts, barcodes)
    path = tmp_path / "a.csv"
    path.write_text("\n".join([head, ",".join(["unit", *["UMI"] * len(GENES)]), *rows]))
    with pytest.raises(DataError, match=r"row 2, .*remove the row where it tells something else"):
        inspect(path)


def test_infinite_values_are_named_and_their_columns_stay(tmp_path, counts, barcodes):
    path = tmp_path / "a.csv"
    path.write_text("\n".join(rows_of(counts, barcodes, lambda v: "inf" if v > 3 else str(v))))
    assert inspect(path).layers["X"].looks_like == "not_finite"


def test_the_line_that_removes_columns_passes_over_comments_above_the_names(
    tmp_path, counts, barcodes, monkeypatch
):
    """As featureCounts writes them: what it was called with, then five columns of places."""
    path = table(tmp_path / "a.csv", counts.T, GENES, barcodes, sep=",")
    frame = pd.read_csv(path, index_col=0)
    frame.insert(0, "Chr", "chr1")
    path.write_text('# Program:featureCounts v2.0.1; Command:"featureCounts"\n' + frame.to_csv())
    with pytest.raises(DataError, match="found 1 other column") as error:
        inspect(path)
    command = re.search(r"pandas\..*\.to_csv\('counts.csv'\)", str(error.value)).group()
    monkeypatch.chdir(tmp_path)
    exec(command, {"pandas": pd})
    np.testing.assert_array_equal(dense(inspect(tmp_path / "counts.csv", "csv")), counts)
