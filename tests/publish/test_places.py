"""No place of the machine on which a release was made is in it: only what lies in the study."""

from __future__ import annotations

from pathlib import Path

import pytest

from pmcell.publish.provenance_paths import without_places

CANARY = "CANARYUSER"


def test_a_release_names_no_folder_outside_the_study(results: Path) -> None:
    from pmcell.publish import write_release
    from pmcell.report import write_report

    home = f"/home/{CANARY}"
    config = {
        "release": {"date": "2026-01-31", "validators": "none"},
        "strata": {"clinical": f"{home}/patients/my clinical.tsv"},
        "seal": {"recipients": {"region": f"~{CANARY}/keys/region.pub"}},
        "explain": {"gene_sets": f"../../{CANARY}/sets.gmt"},
    }
    target = results / "release"
    write_release(
        results,
        target,
        config=config,
        report=lambda folder: write_report(folder, folder / "r.html"),
    )
    files = [path for path in target.rglob("*") if path.is_file()]
    hidden = (CANARY.encode(), str(results.parent).encode(), str(Path.home()).encode() + b"/")
    assert not [(path.name, text) for path in files for text in hidden if text in path.read_bytes()]
    assert "my clinical.tsv" in (target / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/srv/ada/patients/clin ical.tsv", "clin ical.tsv"),
        ("~/keys/region.pub", "region.pub"),
        ("~ada/x", "x"),
        ("../ada/x", "x"),
        ("data/../../ada/x", "x"),
        ("file:///srv/ada/x", "x"),
        (r"C:\Users\ada\x.tsv", "x.tsv"),
        ("made from /srv/ada/x and y", "made from x and y"),
        ("data/clinical.tsv", "data/clinical.tsv"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("10 / 2", "10 / 2"),
    ],
)
def test_of_a_path_outside_the_study_the_last_part_is_shown(text, shown):
    assert without_places({"a": [text]}) == {"a": [shown]}
