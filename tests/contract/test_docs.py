"""What the pages of the documentation say can be done as they say it."""

from __future__ import annotations

import importlib
import importlib.util
import re
from pathlib import Path
from types import ModuleType

import duckdb
import pytest
import yaml

import pmcell as pm
from pmcell.cli import GROUPS, help_of
from pmcell.io.tables import read_table
from pmcell.publish import write_release
from pmcell.settings.load import load_settings
from pmcell.steps import BY_NAME
from r_programs import needs_r, run_r
from repository import ROOT
from results_folder import make_results

DOCS = ROOT / "docs"
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.md"))}
OTHERS = {
    name: (ROOT / name).read_text(encoding="utf-8")
    for name in (
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "config/README.md",
        "workflow/README.md",
    )
}
COMMANDS = {name for _, commands in GROUPS for name, _ in commands}
CALL = re.compile(r"^(?:scripts/)?pmcell ([a-z][a-z_-]*)((?: [^`\n#|]*)?)", re.MULTILINE)
"""A call stands at the start of a line or of a piece of code."""


def blocks(text: str, language: str) -> list[str]:
    """Contents of the fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def pages_with(language: str) -> list[str]:
    return [name for name, text in PAGES.items() if blocks(text, language)]


EXAMPLE = blocks(OTHERS["README.md"], "python")
"""The example of the library, which the tests of the repository run."""


def calls(text: str) -> list[tuple[str, str]]:
    """Command and the rest of the line, of each call in code."""
    fence = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    code = [block for language, block in fence.findall(text) if language in ("", "sh", "text")]
    code += re.findall(r"`([^`\n]+)`", fence.sub("", text))
    return [found for part in code for found in CALL.findall(part)]


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    """The program that fills the pages in."""
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with results/release, in which everyone is shown."""
    folder = tmp_path_factory.mktemp("docs")
    results = make_results(folder, access={"closed": "open"})
    config = {"release": {"date": "2026-01-31", "validators": "none"}}
    write_release(results, results / "release", config=config)
    return folder


def test_pages_hold_the_code_that_is_run_here() -> None:
    assert "analyst.md" in pages_with("python")
    assert len(blocks(PAGES["sql.md"], "sql")) == PAGES["sql.md"].count("\n## ") == 10
    assert pages_with("r") == ["analyst.md"]
    assert "tour.md" in pages_with("yaml")
    assert ("run", " --profile slurm") in calls(PAGES["cluster.md"])
    assert ("unseal", "") in calls(PAGES["steward.md"])


def test_every_page_has_one_place_in_the_navigation() -> None:
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    listed = re.findall(r": (\S+\.md)$", text, re.MULTILINE)
    assert sorted(listed) == sorted(PAGES)


def test_the_tour_shows_the_example_of_the_readme(hook: ModuleType) -> None:
    assert blocks(hook.on_page_markdown(PAGES["tour.md"]), "python") == EXAMPLE


def test_the_page_of_the_library_names_functions_where_they_are_defined(hook: ModuleType) -> None:
    page = hook.on_page_markdown(PAGES["api.md"])
    places = [name.rpartition(".") for name in re.findall(r"^::: (\S+)$", page, re.MULTILINE)]
    shown = [getattr(importlib.import_module(module), name) for module, _, name in places]
    assert {pm.open_release, pm.map, pm.pp.qc, pm.tl.umap, pm.strata.profile} <= {*shown}
    assert not any(isinstance(item, ModuleType) for item in shown)


@pytest.mark.parametrize("page", pages_with("python"))
def test_python_of_a_page_runs_from_top_to_bottom(
    page: str, study: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(study)
    names: dict[str, object] = {}
    for block in blocks(PAGES[page], "python"):
        exec(compile(block, page, "exec"), names)
    said = capsys.readouterr().out
    if page == "analyst.md":
        donors = read_table(study / "results" / "release" / "tables" / "donors.parquet")
        assert len(names["donors"]) == len(donors) > 0  # type: ignore[arg-type]
        assert "Release" in said


@pytest.mark.parametrize("page", pages_with("sql"))
def test_sql_of_a_page_finds_rows(page: str, study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(study)
    genes = read_table(study / "results" / "release" / "tables" / "genes.parquet")
    for block in blocks(PAGES[page], "sql"):
        # The genes of a release that is made up have other names.
        text = re.sub(r"(symbol = )'\w+'", rf"\1'{genes['symbol'].iloc[0]}'", block)
        statements = [part for part in text.split(";") if part.strip()]
        assert statements
        for statement in statements:
            assert duckdb.sql(statement).fetchall(), statement


@pytest.mark.r
@pytest.mark.parametrize("page", pages_with("r"))
def test_r_of_a_page_runs_from_top_to_bottom(page: str, study: Path) -> None:
    needs_r()
    run_r("\n".join(blocks(PAGES[page], "r")), study)


@pytest.mark.parametrize("page", pages_with("yaml"))
def test_a_configuration_of_a_page_is_one(page: str, tmp_path: Path) -> None:
    for number, block in enumerate(blocks(PAGES[page], "yaml")):
        path = tmp_path / f"{number}.yaml"
        path.write_text(block, encoding="utf-8")
        given = load_settings(path).given
        assert given == yaml.safe_load(block) != {}


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_of_a_page_lead_to_a_file(page: str) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", PAGES[page])
    assert [target for target in targets if not (DOCS / target).is_file()] == []


@pytest.mark.parametrize("page", [*PAGES, *OTHERS])
def test_commands_that_a_page_calls_are_there_with_their_options(page: str) -> None:
    for name, rest in calls({**PAGES, **OTHERS}[page]):
        command = name.replace("-", "_") if name.replace("-", "_") in BY_NAME else name
        assert command in COMMANDS, f"pmcell {name}{rest}"
        text = help_of(command)
        # What stands behind a lone -- is Snakemake's.
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", rest.partition(" -- ")[0]):
            assert re.search(rf"{option}\b", text), f"pmcell {name}{rest}"


@pytest.mark.parametrize("page", PAGES)
def test_every_mark_of_a_page_is_filled_in(page: str, hook: ModuleType) -> None:
    filled = hook.on_page_markdown(PAGES[page])
    assert not re.search(r"<!-- (?:generated|recipe)", filled)
    assert (filled != PAGES[page]) == (
        "<!-- generated" in PAGES[page] or "<!-- recipe" in PAGES[page]
    )


def test_a_mark_that_is_misspelt_is_an_error(hook: ModuleType) -> None:
    with pytest.raises(KeyError, match="setings"):
        hook.on_page_markdown("<!-- generated: setings -->")
    with pytest.raises(FileNotFoundError, match=r"tabel\.diff"):
        hook.on_page_markdown("<!-- recipe: tabel -->")


def test_a_recipe_is_shown_whole(hook: ModuleType) -> None:
    text = (DOCS / "recipes" / "step.diff").read_text(encoding="utf-8")
    shown = hook.on_page_markdown("<!-- recipe: step -->")
    added = [line for line in text.splitlines() if re.match(r"[+-](?!\+\+ |-- )", line)]
    assert len(added) > 50
    assert set(added) <= set(shown.splitlines())
    assert "Files written by hand: 5." in shown


def test_messages_that_the_faq_explains_are_messages_of_the_program() -> None:
    table = PAGES["faq.md"].partition("## Messages")[2].partition("\n## ")[0]
    quoted = re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)
    source = "".join(
        path.read_text(encoding="utf-8") for path in sorted((ROOT / "src/pmcell").rglob("*.py"))
    )
    # A long message stands in several literals, one below the other.
    joined = re.sub(r'"\s*\n\s*f?"', "", source)
    assert len(quoted) >= 15
    assert [message for message in quoted if message not in joined] == []


def test_the_messages_of_the_program_that_newcomers_meet_are_in_the_faq() -> None:
    for message in (
        "the file must hold raw counts; X has values below 0",
        "donors.tsv, row 2: must be decided; found TODO",
        "a study folder must hold config/config.yaml; there is no",
    ):
        assert any(part in message for part in re.findall(r"`([^`]+)`", PAGES["faq.md"]))
