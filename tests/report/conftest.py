"""Made-up releases, written once."""

from __future__ import annotations

from pathlib import Path

import pytest

from made_release import make_release
from pmcell.cli.steps.release import _site
from pmcell.io.atomic import write_json
from pmcell.publish import write_release
from pmcell.report import write_report
from pmcell.report.site import Extras, write_site
from results_folder import make_results

PAYLOAD = (
    "\"'><script>console.error('pwned')</script><img src=http://127.0.0.1:9/x onerror=pwn()>"
    "</style></svg>$\\frac$"
)


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release without published strata."""
    return make_release(tmp_path_factory.mktemp("release"), n_cells=1_500, n_donors=24)


@pytest.fixture(scope="session")
def release_with_strata(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with two published strata."""
    return make_release(
        tmp_path_factory.mktemp("strata"), n_cells=1_500, n_donors=24, published=True
    )


@pytest.fixture(scope="session")
def hostile_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a release with markup in every field that a person wrote."""
    folder = make_release(
        tmp_path_factory.mktemp("hostile"),
        n_cells=1_000,
        n_donors=22,
        published=True,
        hostile=PAYLOAD,
    )
    write_json(folder / "manifest.json", {"title": PAYLOAD, "parameters": {"qc": {"x": PAYLOAD}}})
    (folder / "CITATION.cff").write_text(f"title: {PAYLOAD!r}\nauthors: [{{name: {PAYLOAD!r}}}]\n")
    return write_report(folder)


@pytest.fixture(scope="session")
def made_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release with its catalogue, of open, withheld and quarantined cohorts; without report."""
    root = tmp_path_factory.mktemp("site")
    results = make_results(root)
    release = results / "release"
    config = {"release": {"date": "2026-01-31", "validators": "none"}}
    write_release(results, release, config=config, site=_site)
    return release


@pytest.fixture(scope="session")
def hostile_site(hostile_page: Path) -> Path:
    """The catalogue of a release with markup in every field that a person wrote."""
    extras = Extras(
        description=PAYLOAD,
        json_ld='{"name": "</script><script>console.error(1)</script><!--/layout-->"}',
        people={"liu_b1": {"steward": PAYLOAD}},
    )
    return write_site(hostile_page.parent, extras=extras).parent
