"""Write the dossier of one person: a page to read and print, a FHIR bundle and a Phenopacket.

DONOR is a donor of the release, or with --mapped a person whom `pmcell map` placed on it. The
page has two sides: one in plain words, one technical. A dossier is about one person and
follows the access to the person's cohort: for one that is not open, --package names its sealed
package (keys as for `pmcell unseal`). The files are readable by their owner alone.

--mode research, the default, interprets nothing. --mode device is for the in-house device of a
laboratory, whose signed --validation it needs; PMCELL_VALIDATOR_PUBLIC_KEY_FILE names the
file of the laboratory's public key.

Example:
  pmcell patient ghent:P017 --release results/release --out my-dossier
  pmcell patient P1 --release results/release --mapped mapped --sex female --out my-dossier
"""

from __future__ import annotations

import argparse
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pmcell.dossier import Validation


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("donor", metavar="DONOR", help="the person, '<cohort>:<donor>'")
    parser.add_argument("--release", type=Path, required=True, help="folder of the release")
    parser.add_argument("--mapped", type=Path, help="folder that `pmcell map` wrote")
    parser.add_argument("--package", type=Path, help="sealed package of the person's cohort")
    parser.add_argument("--visit", help="label of the visit (default: the last)")
    parser.add_argument(
        "--out", type=Path, help="folder to write, not in a release (default: dossier_DONOR)"
    )
    parser.add_argument(
        "--mode", default="research", help="research (default), or device with --validation"
    )
    parser.add_argument("--validation", type=Path, help="signed validation file of the device")
    parser.add_argument("--date", help="day of the report, YYYY-MM-DD (default: today, UTC)")
    parser.add_argument("--sex", help="with --mapped: female or male")
    parser.add_argument("--age-group", help="with --mapped: the age band, as the release has it")
    parser.add_argument(
        "--mononuclear",
        action="store_true",
        help="the samples are of blood mononuclear cells: FHIR then has LOINC codes of these",
    )
    parser.add_argument(
        "--page-only",
        action="store_true",
        help="write the page alone, without FHIR and Phenopacket",
    )


def run(args: argparse.Namespace) -> int:
    """Build the dossier and write it."""
    from pmcell.dossier import build_dossier, build_mapped_dossier, write_dossier
    from pmcell.dossier.write import check_place
    from pmcell.errors import UsageError

    outside = tuple(path for path in (args.release, args.package) if path is not None)
    out = args.out or Path(f"dossier_{re.sub('[^A-Za-z0-9._-]', '_', args.donor)[:100]}")
    check_place(out.absolute(), outside)
    day = _day(args.date)
    validation = _validation(args, day)
    common: dict[str, Any] = {
        "visit": args.visit,
        "mode": args.mode,
        "validation": validation,
        "date": day.isoformat(),
    }
    if args.mapped is None:
        if args.sex or args.age_group:
            raise UsageError(
                "--sex and --age-group belong to --mapped; of a donor the release knows them"
            )
        dossier = build_dossier(args.release, args.donor, package=args.package, **common)
    else:
        if args.package is not None:
            raise UsageError(
                "--package is of a donor of the release; --mapped is of another person"
            )
        if args.sex:
            common["sex"] = args.sex
        if args.age_group:
            common["age_group"] = args.age_group
        dossier = build_mapped_dossier(args.release, args.mapped, args.donor, **common)
    paths = write_dossier(
        dossier,
        out,
        outside=outside,
        mononuclear=args.mononuclear,
        page_only=args.page_only,
    )
    names = ", ".join(path.name for path in paths)
    print(f"Written to {out}: {names}. They are personal data: keep them as such.")
    return 0


def _day(text: str | None) -> date:
    from pmcell.dossier.validation import as_day
    from pmcell.errors import UsageError

    if text is None:
        return _today()
    day = as_day(text)
    if day is None:
        raise UsageError(f"--date must be a day as YYYY-MM-DD; got {text!r}")
    return day


def _today() -> date:
    return datetime.now(UTC).date()


def _validation(args: argparse.Namespace, day: date) -> Validation | None:
    from pmcell.dossier import read_validation
    from pmcell.dossier.validation import VALIDATOR_KEY
    from pmcell.io.crypt.keys import named_file, read_signer
    from pmcell.release import open_release

    if args.validation is None or args.mode != "device":
        # `build_dossier` says what a mode needs; a file that it must not have is not read.
        return None if args.validation is None else _unread()
    file = named_file(VALIDATOR_KEY, "the laboratory's public key", secret=False)
    digest = str(open_release(args.release).manifest["content_sha256"])
    return read_validation(
        args.validation, signer=read_signer(file), content_sha256=digest, days=(day, _today())
    )


def _unread() -> Validation:
    from pmcell.errors import UsageError

    raise UsageError("--validation belongs to --mode device; --mode research interprets nothing")
