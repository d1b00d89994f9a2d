"""What the pages of the documentation take from the code, so that no page repeats it.

MkDocs calls `on_page_markdown` for each page; a line `<!-- generated: NAME -->`
becomes what NAME's function makes of the tables of steps, settings, schema and
commands, or of the layers that import-linter holds the package to. A line
`<!-- recipe: NAME -->` becomes the change in `recipes/NAME.diff`.
"""

from __future__ import annotations

import html
import importlib
import importlib.util
import re
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MARK = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)
RECIPE = re.compile(r"^<!-- recipe: (\w+) -->$", re.MULTILINE)
RECIPES = ROOT / "docs" / "recipes"

BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 172, 34, 210, 62


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put what the code says in the place of each mark; an unknown mark is an error."""
    markdown = RECIPE.sub(lambda mark: "\n".join(recipe(mark.group(1))), markdown)
    return MARK.sub(lambda mark: "\n".join(PARTS[mark.group(1)]()), markdown)


def recipe(name: str) -> Iterator[str]:
    """Show a change: how many files it touches, and what it does to each."""
    text = (RECIPES / f"{name}.diff").read_text(encoding="utf-8")
    files = re.findall(r"^diff --git a/(\S+)", text, re.MULTILINE)
    yield f"Files written by hand: {len(files)}."
    for path, part in zip(files, re.split(r"^diff --git .*\n", text, flags=re.M)[1:], strict=True):
        yield ""
        yield f"`{path}`"
        yield ""
        yield "```diff"
        yield re.sub(r"\A(?:new file .*\n)?--- .*\n\+\+\+ .*\n", "", part).rstrip()
        yield "```"


def flow() -> Iterator[str]:
    """Draw the steps, and which reads what another wrote (only the edges that none implies)."""
    from pmcell.steps import STEPS

    parents = {
        step.name: [
            other.name
            for other in STEPS
            if other is not step and set(other.outputs) & set(step.inputs)
        ]
        for step in STEPS
    }
    depth: dict[str, int] = {}
    for step in STEPS:  # In the order of the flow: parents come first.
        depth[step.name] = 1 + max((depth[name] for name in parents[step.name]), default=-1)
    taken: dict[tuple[int, int], str] = {}
    place: dict[str, tuple[int, int]] = {}
    for step in STEPS:
        column = 0 if step.per_cohort else 2
        while (column, depth[step.name]) in taken:
            column += 1
        taken[column, depth[step.name]] = step.name
        place[step.name] = (column * COLUMN + 10, depth[step.name] * ROW + 40)
    width = max(x for x, _ in place.values()) + BOX_WIDTH + 10
    height = max(y for _, y in place.values()) + BOX_HEIGHT + 10
    yield '<figure markdown="0">'
    yield (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="The steps and the files '
        'between them" style="max-width:100%" fill="none" stroke="currentColor" '
        'font-family="inherit" font-size="14">'
    )
    for x, text in ((10, "for each cohort"), (2 * COLUMN + 10, "across cohorts")):
        yield f'<text x="{x}" y="20" fill="currentColor" stroke="none">{text}</text>'
    for child, names in parents.items():
        for name in _direct(names, parents):
            yield _edge(place[name], place[child])
    for step in STEPS:
        x, y = place[step.name]
        dash = ' stroke-dasharray="5 3"' if step.is_product else ""
        yield (
            f'<rect x="{x}" y="{y}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6"{dash} '
            'fill="var(--md-default-bg-color)"/>'
        )
        yield (
            f'<text x="{x + BOX_WIDTH / 2}" y="{y + 22}" text-anchor="middle" '
            f'fill="currentColor" stroke="none">{step.name}</text>'
        )
    yield "</svg>"
    yield (
        "<figcaption>Drawn from the table of steps. Dashed: what leaves the study.</figcaption>"
        "</figure>"
    )


def steps() -> Iterator[str]:
    """List each step with the files that it reads and writes."""
    from pmcell.steps import STEPS

    yield "| step | scope | what it does | writes |"
    yield "|---|---|---|---|"
    for step in STEPS:
        scope = "cohort" if step.per_cohort else "all"
        written = ", ".join(f"`{path}`" for path in step.outputs)
        yield f"| `{step.name}` | {scope} | {step.summary} | {written} |"


def layers() -> Iterator[str]:
    """List the layers, top to bottom, with what each package says of itself."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    contract = next(item for item in contracts if item["type"] == "layers")
    yield '<div class="layers" markdown="1">'
    yield ""
    yield "| layer | what it is |"
    yield "|---|---|"
    for row in contract["layers"]:
        for name in re.split(r"\s*[:|]\s*", row):
            about = (importlib.import_module(f"pmcell.{name}").__doc__ or "").strip().split("\n")[0]
            yield f"| `{name}` | {about} |"
    yield ""
    yield "</div>"


def guide() -> Iterator[str]:
    """The tables to open first, then all by what one wants to know."""
    from pmcell.schema.guide import FIRST, topics

    yield "| you ask | table |"
    yield "|---|---|"
    for item in FIRST:
        yield f"| {item.question} | [`{item.table}`](#{item.table}) |"
    yield ""
    yield "| you want to know | tables |"
    yield "|---|---|"
    for topic in topics():
        yield f"| {topic.title} | {', '.join(f'[`{name}`](#{name})' for name in topic.tables)} |"


def joins() -> Iterator[str]:
    """How the tables join, as a drawing in text."""
    from pmcell.schema.guide import join_tree

    yield "```text"
    yield from join_tree()
    yield "```"


def dictionary() -> Iterator[str]:
    """The data dictionary, as a release holds it, without its title."""
    from pmcell.publish.content.tables import dictionary as text

    yield text().partition("\n")[2].strip()


def example() -> Iterator[str]:
    """The example of the library in README.md, with its fences."""
    yield "```python"
    yield (
        (ROOT / "README.md")
        .read_text(encoding="utf-8")
        .split("```python\n")[1]
        .split("```")[0]
        .rstrip()
    )
    yield "```"


def where() -> Iterator[str]:
    """Where it runs and what to do by symptom: the last sections of config/README.md."""
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    yield text[text.index("## Where it runs") :].rstrip()


def settings() -> Iterator[str]:
    """The tables of config/README.md."""
    from pmcell.settings.documents import step_rows, study_rows

    yield "## The study"
    yield ""
    yield from study_rows()
    yield ""
    yield "## Steps"
    yield ""
    yield from step_rows()


def commands() -> Iterator[str]:
    """The help of each command."""
    from pmcell.cli import GROUPS, help_of

    for title, group in GROUPS:
        yield f"## {title}"
        yield ""
        for name, summary in group:
            yield f"### pmcell {name}"
            yield ""
            yield f"{summary[:1].upper()}{summary[1:]}."
            yield ""
            yield "```text"
            yield help_of(name).rstrip()
            yield "```"
            yield ""


def extras() -> Iterator[str]:
    """What each install brings, from pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    yield "| install | for | brings |"
    yield "|---|---|---|"
    for extra, what in EXTRAS.items():
        name = project["name"] + (f"[{extra}]" if extra else "")
        brought = ", ".join(optional[extra] if extra else project["dependencies"])
        yield f"| `{name}` | {what} | {brought} |"


def error_rates() -> Iterator[str]:
    """The error rates of the strata, from the table that README.md is made of too."""
    path = ROOT / "tests" / "benchmarks" / "strata" / "rates.py"
    spec = importlib.util.spec_from_file_location("rates", path)
    assert spec is not None
    assert spec.loader is not None
    rates = importlib.util.module_from_spec(spec)
    sys.modules["rates"] = rates
    spec.loader.exec_module(rates)
    yield from rates.page()


EXTRAS = {
    "": "the library: `pm.pp`, `pm.tl`, `pm.strata`, `pm.pl`, and `pm.open_release`",
    "publish": "commands: register, check, single steps, release, report, verify",
    "workflow": "`pmcell run`: the whole way from cohorts to a release",
    "slurm": "runs on a Slurm cluster",
    "all": "everything but Slurm, with scanpy and completion in the shell",
}


def gallery() -> Iterator[str]:
    """Figures of donors that are drawn from a known truth, as the report draws them."""
    import pmcell as pm

    cells = pm.simulate.simulate_latent(n_donors=24, cells_per_donor=150, n_types=4, seed=1)
    donors = pm.strata.profile(cells)
    pm.strata.distances(donors)
    pm.strata.cluster(donors, n_bootstraps=20)
    pm.strata.existence(donors, n_null=99)
    places = pm.strata.assignments(donors)
    shown = places.assign(stratum=places["candidate_stratum"])
    test = donors.uns["existence"]
    shares = pm.strata.composition(donors).merge(shown, on=["donor_id", "visit"])
    figures = (
        (
            "donors",
            "Donors",
            pm.pl.donor_map(shown, color="stratum"),
            "Each point is a donor; near means alike in cell types and their state.",
        ),
        (
            "existence",
            "Are there groups at all?",
            pm.pl.existence(test["null_statistics"], float(test["statistic"])),
            "Bars: how grouped donors without groups look. Line: these donors.",
        ),
        (
            "composition",
            "Composition",
            pm.pl.composition(shares, group="stratum"),
            "Shares of cell types, a bar for each donor.",
        ),
    )
    for key, title, figure, caption in figures:
        yield '<figure markdown="0" style="background: #fff; color: #1d232b">'
        yield pm.pl.to_svg(figure, name=f"gallery-{key}", title=title)
        yield f"<figcaption><b>{title}.</b> {caption}</figcaption></figure>"
        yield ""


LIBRARY = {
    "pmcell": "Files, releases and new people: `pm`",
    "pmcell.pp": "Preprocessing: `pm.pp`",
    "pmcell.tl": "Tools: `pm.tl`",
    "pmcell.strata": "Strata of donors: `pm.strata`",
    "pmcell.pl": "Figures: `pm.pl`",
    "pmcell.dossier": "The dossier of one person: `pmcell.dossier`",
    "pmcell.simulate": "Simulation: `pm.simulate`",
    "pmcell.publish": "Writing and checking a release: `pm.publish`",
}


def library() -> Iterator[str]:
    """Name each function and class where it is defined.

    Many have the name of their module, `pmcell.pp.qc.qc`, which hides them from mkdocstrings in
    the package that offers them.
    """
    for package, title in LIBRARY.items():
        yield from ("", f"## {title}", "")
        module = importlib.import_module(package)
        for name in module.__all__:
            if callable(offered := getattr(module, name)):
                yield from (f"::: {offered.__module__}.{name}", "")


PARTS: Mapping[str, Callable[[], Iterator[str]]] = {
    "flow": flow,
    "steps": steps,
    "layers": layers,
    "guide": guide,
    "joins": joins,
    "dictionary": dictionary,
    "example": example,
    "where": where,
    "settings": settings,
    "commands": commands,
    "library": library,
    "extras": extras,
    "gallery": gallery,
    "error_rates": error_rates,
}


def _direct(names: list[str], parents: Mapping[str, list[str]]) -> list[str]:
    """The parents that no other parent descends from."""

    def above(name: str) -> set[str]:
        return {name}.union(*(above(parent) for parent in parents[name]))

    return [
        name
        for name in names
        if not any(name in above(other) - {other} for other in names if other != name)
    ]


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x0, y0 = start[0] + BOX_WIDTH / 2, start[1] + BOX_HEIGHT
    x1, y1 = end[0] + BOX_WIDTH / 2, end[1]
    middle = (y0 + y1) / 2
    path = f"M{x0:g} {y0:g} C{x0:g} {middle:g} {x1:g} {middle:g} {x1:g} {y1:g}"
    return f'<path d="{html.escape(path)}" opacity="0.55"/>'
