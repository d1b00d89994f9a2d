"""Draw the figure of README.md from a release of the embedded cohorts.

python scripts/readme_figure.py results/release docs/images/demo_donors.svg
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from pmcell.io.atomic import write_text
from pmcell.release.report_tables import read_release
from pmcell.report.donor_figures import donor_figure


def main() -> None:
    """Write the first panels of the report's map of donors side by side, on a light ground."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("release", type=Path, help="folder of a release")
    parser.add_argument("target", type=Path, help="SVG file to write")
    args = parser.parse_args()
    figure = donor_figure(read_release(args.release))
    if figure is None:
        parser.error(f"{args.release} must hold a map of donors; it has none")
    write_text(args.target, beside([picture.svg for picture in figure.pictures[:3]]))


def beside(drawings: list[str]) -> str:
    """One SVG with the drawings in a row, by their view boxes."""
    parts, x, height = [], 0.0, 0.0
    for drawing in drawings:
        found = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', drawing)
        if found is None:
            raise ValueError("a drawing must have a viewBox that begins at 0 0")
        width, own = map(float, found.groups())
        inner = re.sub(r"^<svg\b", f'<svg x="{x:g}" width="{width:g}" height="{own:g}"', drawing)
        parts.append(inner)
        x, height = x + width + 12, max(height, own)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {x - 12:g} {height:g}"><rect width="100%" height="100%" fill="#fff"/>'
        + "".join(parts)
        + "</svg>\n"
    )


if __name__ == "__main__":
    main()
