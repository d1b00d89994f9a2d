"""The removal scan: it finds what is planted and nobody else, and says what it could not read."""

from __future__ import annotations

import base64
import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pmcell.consent.removal import scan as module
from pmcell.consent.removal.canaries import PLANTS, self_test
from pmcell.consent.removal.canary import COUNTS, NAME
from pmcell.consent.removal.needles import Needles, donor_needles, print_of
from pmcell.consent.removal.places import of_text
from pmcell.consent.removal.places_text import looks_like_text
from pmcell.consent.removal.scan import scan
from pmcell.errors import DataError

NEEDLES = Needles({NAME: "donor", "P1": "donor"}, frozenset([print_of(COUNTS)]))


def test_every_canary_is_found_and_only_where_it_is(tmp_path: Path) -> None:
    assert self_test(tmp_path) == len(PLANTS) >= 222
    other = Needles(
        {"Canary-00000000": "donor"}, frozenset([print_of(COUNTS * 0 + np.arange(300) % 9 + 1)])
    )
    for number, plant in enumerate(PLANTS.values()):
        home = tmp_path / str(number)
        home.mkdir()
        plant(home)
    assert scan([tmp_path], other).hits == []


def test_a_canary_that_is_missed_fails_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        PLANTS, "nothing", lambda home: (home / "x.txt").write_bytes(b"nobody") and None
    )
    with pytest.raises(DataError, match="it missed nothing"):
        self_test()


def test_a_scan_that_is_blind_to_cells_fails_its_self_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Needles, "are_among", lambda *args: False)
    with pytest.raises(DataError, match="cells in CSR"):
        self_test()


@settings(max_examples=150, deadline=None)
@given(
    # Without signs of control: one may be the length of the name, which then ends by it.
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), max_size=60),
    st.text(st.characters(codec="utf-8"), max_size=60),
    st.sampled_from(["d-17", "P1", "donor_0001", "a/b:c-long-name-of-a-cell", "Ä-spital-3"]),
)
def test_a_name_is_found_where_letters_and_digits_do_not_go_on(before, after, name) -> None:
    """And nowhere else, where no sign stands that a way of writing undoes, nor one backwards."""

    def goes_on(text: str) -> bool:
        return text.isascii() and text.isalnum()

    data = f"{before}{name}{after}".lower()
    found = Needles({name: "x"}).in_bytes(data.encode())
    starts = [at for at in range(len(data)) if data.startswith(name.lower(), at)]
    whole = any(
        not (at and goes_on(data[at - 1]))
        and not goes_on(data[at + len(name) : at + len(name) + 1])
        for at in starts
    )
    assert found or not whole
    if not set(data) - set("abcdefghijklmnopqrstuvwxyz0123456789 -_") and name != "P1":
        assert bool(found) == whole


def test_names_are_found_at_every_place_of_the_bytes() -> None:
    needles = Needles({NAME: "donor", "P1": "short"})
    for shift in range(20):
        assert needles.in_bytes(b"." * shift + NAME.encode() + b"." * shift) == {"donor"}
        assert needles.in_bytes(b"." * shift + b"P1" + b"." * shift) == {"short"}
    assert needles.in_bytes(b"") == set()
    assert Needles({}).in_bytes(NAME.encode()) == set()


def test_a_name_within_a_longer_one_is_somebody_else() -> None:
    assert Needles({"P1": "x"}).in_bytes(b"P10 XP1 P1a") == set()
    assert Needles({"donor_001": "x"}).in_bytes(b"donor_0012 mydonor_001") == set()
    assert Needles({"P1": "x"}).in_bytes(b"P10,p1\n") == {"x"}


@pytest.mark.parametrize("shift", range(6))
def test_a_name_is_found_in_short_words_of_base64_wherever_it_stands(shift: int) -> None:
    needles = Needles({"donor-17": "x"})
    assert needles.in_bytes(base64.b64encode(b"." * shift + b"donor-17")) == {"x"}
    assert needles.in_bytes(b"q=" + base64.urlsafe_b64encode(b"?" * shift + b"donor-17~~")) == {"x"}
    assert needles.in_bytes(base64.b64encode(b"." * shift + b"donor-18")) == set()


def test_names_are_found_in_any_case_also_beyond_ascii() -> None:
    needles = Needles({"Ä-Spital-3": "x", "äb3": "y"})
    for text in ("Ä-SPITAL-3", "ä-spital-3", "Ä-Spital-3"):
        assert needles.in_bytes(text.encode()) == {"x"}
    assert needles.in_bytes("ÄB3".encode()) == {"y"}


def test_what_others_have_too_is_not_looked_for() -> None:
    needles = donor_needles([("d1", "donor"), ("s1", "sample")], ["S1"], [b"a", b"b"], [b"b"])
    assert dict(needles.texts) == {"d1": "donor"}
    assert needles.cells == {b"a"}


def test_prints_stay_under_order_names_and_transformation_and_differ_between_cells() -> None:
    draw = np.random.default_rng(3)
    cells = [draw.negative_binomial(0.4, 0.05, size=800) for _ in range(400)]
    prints = [print_of(cell) for cell in cells]
    assert None not in prints
    assert len(set(prints)) == len(prints)
    for cell, mark in zip(cells[:50], prints[:50], strict=True):
        total = cell.sum()
        assert print_of(draw.permutation(np.log1p(1e4 * cell / total).astype(np.float32))) == mark
    assert print_of(np.ones(5000)) is None


def test_equal_files_are_read_once_and_each_is_named(tmp_path: Path, monkeypatch) -> None:
    read = []
    monkeypatch.setattr(
        module, "inside", lambda path: read.append(path.name) or of_text(path.read_bytes(), "", 0)
    )
    for name in ("a.txt", "b.txt", "c.txt", "other.txt", "d.json"):
        said = NAME if name != "other.txt" else NAME.swapcase()
        (tmp_path / name).write_text(f"of {said} alone")
    report = scan([tmp_path], NEEDLES, base=tmp_path)
    assert sorted(read) == ["a.txt", "d.json", "other.txt"]
    assert {name for name, _, _ in report.hits} == {
        *("a.txt", "b.txt", "c.txt", "d.json", "other.txt")
    }
    assert report.n_files == 5


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(60, 400), st.integers(9, 40))
def test_a_cell_is_found_by_its_shape_whatever_its_values_are(seed, n_genes, n_values) -> None:
    draw = np.random.default_rng(seed)
    rows = draw.integers(0, n_values, (6, n_genes)) * draw.choice([1.0, -0.5, 3.7])
    mark = print_of(rows[3])
    needles = Needles({}, frozenset([mark]) if mark else frozenset())
    indptr = np.arange(7) * n_genes
    assert needles.are_among(indptr, rows.ravel()) == (mark is not None)
    others = np.delete(rows, 3, axis=0)
    marks = {print_of(row) for row in others}
    assert needles.are_among(indptr[:6], others.ravel()) == (mark in marks and mark is not None)


@pytest.mark.parametrize(
    ("data", "is_text"),
    [
        (b"", True),
        ("Größe des Spitals: 17\n".encode("latin-1") * 9, True),
        (b"\n\x02ab\x03abc" * 99, True),
        (b"\x1b[1mrule\x1b[0m\n" * 99, True),
        (b"text \0 and more", False),
        (np.random.default_rng(0).integers(1, 256, 4096, np.uint8).tobytes(), False),
        (
            np.random.default_rng(0)
            .poisson(3, 4096)
            .astype(np.uint8)
            .tobytes()
            .replace(b"\0", b""),
            False,
        ),
    ],
)
def test_a_text_is_told_from_numbers_by_its_begin(data: bytes, is_text: bool) -> None:
    assert looks_like_text(data) == is_text


def test_files_that_cannot_be_read_are_named_and_no_scan_with_one_is_clean(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x" * 5000)[:-9])
    (tmp_path / "b.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 500)
    (tmp_path / "c.parquet").write_bytes(b"PAR1" + b"x" * 50 + b"PAR1")
    (tmp_path / "d.zip").write_bytes(b"PK\x03\x04" + b"x" * 50)
    report = scan([tmp_path], NEEDLES, base=tmp_path)
    assert [name for name, _ in report.unread] == ["a.gz", "b.h5ad", "c.parquet", "d.zip"]
    assert not report.is_clean


def test_the_report_does_not_repeat_the_name(tmp_path: Path) -> None:
    folder = tmp_path / f"of {NAME}"
    folder.mkdir()
    (folder / base64.urlsafe_b64encode(f"results/{NAME}".encode()).decode()).write_text(NAME)
    report = scan([tmp_path], NEEDLES, base=tmp_path)
    assert len(report.hits) == 3
    assert NAME not in str(report.hits)
    assert {name for name, _, _ in report.hits} == {"[named]", "[named]/[named]"}


def test_a_stream_that_was_overwritten_tells_what_is_left(tmp_path: Path) -> None:
    draw = np.random.default_rng(5)
    packed = zlib.compress(NAME.encode() + b" " + draw.bytes(3000))
    (tmp_path / "x").write_bytes(b"\0" * 99 + packed[:2000] + draw.bytes(500))
    assert scan([tmp_path], NEEDLES).hits


def test_many_streams_in_one_file_are_all_read(tmp_path: Path) -> None:
    one = zlib.compress(b"somebody else, at some length" * 3)
    last = zlib.compress(f"and {NAME} in the last".encode() * 3)
    (tmp_path / "x").write_bytes(one * 3000 + last + b"\0" * 99)
    report = scan([tmp_path], NEEDLES)
    assert [kind for _, _, kind in report.hits] == ["donor"]
    assert report.n_objects > 3000


def test_what_is_encrypted_is_named_and_what_is_closed_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "a.c4gh").write_bytes(b"crypt4gh" + bytes(99))
    (tmp_path / "b.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(99))
    report = scan([tmp_path], NEEDLES, base=tmp_path)
    assert report.encrypted == ["a.c4gh"]
    assert report.unread == [("b.7z", "content: 7z is not opened")]


@pytest.mark.parametrize(
    "data",
    [
        b"a\\nP1 b",
        b"\x1b[0;31mP1\x1b[0m",
        b"UNICODE\0P\x001\0",
        "Öffnung: P1".encode("utf-16-be"),
        b"\x02P1",
    ],
)
def test_what_is_no_word_before_a_name_does_not_hide_it(data: bytes) -> None:
    assert Needles({"P1": "x"}).in_bytes(data) == {"x"}


@pytest.mark.parametrize("data", [b"P12", b"aP1", "XP1".encode("utf-16-le"), b"nP1", b"emP1"])
def test_a_longer_word_in_any_width_is_another_name(data: bytes) -> None:
    assert Needles({"P1": "x"}).in_bytes(data) == set()


def test_other_spellings_are_looked_for_unless_somebody_has_them() -> None:
    own = [("c1:anna_7", "donor")]
    assert "c1.anna.7" in donor_needles(own, [], [], []).spellings
    assert "c1.anna.7" not in donor_needles(own, ["C1.anna.7"], [], []).spellings


def test_links_are_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "out.txt").write_text(NAME)
    (tmp_path / "in" / "x").symlink_to(tmp_path / "out.txt")
    assert scan([tmp_path / "in", tmp_path / "missing"], NEEDLES).hits == []


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"\ndonor-1234\n", {"x"}),
        (b"\ndonor-12345", set()),  # A line feed is 10, the length of the name, and declares none.
        (b"\0\0\0\x0adonor-12345", {"x"}),
        (b"\x0a\0\0\0donor-1234and", {"x"}),
        (b"\x0a\0\0\0\0\0\0\0donor-1234and", {"x"}),
        (b"\x0b\0\0\0donor-12345", set()),
    ],
)
def test_a_text_ends_where_the_length_before_it_says(data: bytes, found: set[str]) -> None:
    assert Needles({"donor-1234": "x"}).in_bytes(data) == found


def test_in_pages_without_signs_a_number_that_goes_on_is_somebody_else() -> None:
    needles = Needles({"donor-17": "x"})
    assert needles.in_bytes(b"annadonor-17other", is_joined=True) == {"x"}
    assert needles.in_bytes(b"annadonor-17other") == set()
    assert needles.in_bytes(b"annadonor-172", is_joined=True) == set()
    assert Needles({"anna": "x"}).in_bytes(b"hannah", is_joined=True) == set()
    assert Needles({"anna": "x"}).in_bytes(b"\0anna\0", is_joined=True) == {"x"}


@pytest.mark.parametrize(
    "text",
    [
        b"a list:\ndonor-1\n7\nand donor-\n18",
        b"x" * 50 + b" donor-1\n7 is not of " + b"y" * 70 + b"\n",
        b"donor&#45;1 7",
        b"[100, 111, 110, 111, 114, 45, 49], [55, 0]",
    ],
)
def test_parts_that_stand_apart_are_no_name(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "x").write_bytes(text)
    assert scan([tmp_path], Needles({"donor-17": "x"})).hits == []


def test_a_store_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.zarr").mkdir()
    (tmp_path / "a.zarr" / "zarr.json").write_text("{")
    report = scan([tmp_path], NEEDLES, base=tmp_path)
    assert [name for name, _ in report.unread] == ["a.zarr/zarr.json"]
    assert report.unread[0][1].startswith("zarr: ")


def test_ways_of_writing_in_any_order_are_opened_once(tmp_path: Path) -> None:
    text = f"<b>&lt;{NAME}&gt;</b> Ä =3D %41 -\nx " * 3
    (tmp_path / "x.html").write_text(text)
    texts = [
        place.text for place in of_text((tmp_path / "x.html").read_bytes(), "", 0) if place.text
    ]
    again = [place for place in texts if texts.count(place) > 2]
    assert not again
    assert scan([tmp_path], NEEDLES).hits


def test_lines_of_equal_signs_are_not_taken_for_what_is_packed_too_often(tmp_path: Path) -> None:
    # What Snakemake says of a job that failed: each reading as quoted-printable takes a sign away.
    digests = (
        "c582f793ba8647a599cc0664a7411cf1df74b35f2a699db7c4577a5b7324a17e",
        "301b082a9ef79356edda9d5afa2f6d89fb6c12319e282bbb2f74fb325c4b112f",
    )
    lost = "Cannot restore results/release/{}: no backup found."
    names = ("manifest.json", "tables/cohorts.parquet")
    (tmp_path / "run.log").write_text(
        f"    reason: Params have changed since last execution: before: '{digests[0]}' now: "
        f"'{digests[1]}' \n{'=' * 80}\n" + "\n".join(map(lost.format, names))
    )
    report = scan([tmp_path], NEEDLES)
    assert report.is_clean
    assert report.n_objects < 200


def test_images_in_a_page_are_not_read_as_text() -> None:
    image = b"\x89PNG\r\n\x1a\n" + b"<a&amp;%41=3D" * 40
    page = (b"<img src='data:;base64," + base64.b64encode(image) + b"'>") * 4
    texts = [place.text for place in of_text(page, "", 0) if image in place.text]
    assert texts
    assert set(texts) == {image}
