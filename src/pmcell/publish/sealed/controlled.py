"""The controlled tier: cohorts without open access, encrypted to named recipients.

`results/controlled/<cohort>/` is a sealed package (`publish/sealed/sealed.py`). While
it is made the plaintext lies in the cohort's own results folder, beside the
cells that are there anyway, and is removed; nowhere else is any written.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import Fault, FaultsError, UsageError
from pmcell.io.atomic import sha256_file, write_json
from pmcell.io.crypt.keys import read_recipient, read_signing_key
from pmcell.io.modes import close_folder, private_files
from pmcell.io.outputs import is_package
from pmcell.io.scratch import scratch_folder
from pmcell.publish.atlas import Atlas, load_atlas
from pmcell.publish.content.cells import write_cells
from pmcell.publish.content.tables import write_rows
from pmcell.publish.disclosure.policy import Policy
from pmcell.publish.facts import Cohort, Facts, load_facts
from pmcell.publish.folder import whole_folder
from pmcell.publish.sealed.sealed import MANIFEST, Sealer
from pmcell.schema import SCHEMA_VERSION, TABLES
from pmcell.schema.disclosure import INDIVIDUAL
from pmcell.settings.load import checked_section
from pmcell.settings.study import SealSettings
from pmcell.version import __version__

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

INDEX = "index.json"


@dataclasses.dataclass(frozen=True)
class Recipients:
    """The `seal` section: public keys by name, and which of them a cohort is encrypted to."""

    keys: Mapping[str, bytes]
    of_cohort: Mapping[str, Sequence[str]]

    def of(self, cohort_id: str) -> dict[str, bytes]:
        """Keys of the recipients of a cohort; all of them where the section names none."""
        names = self.of_cohort.get(cohort_id, sorted(self.keys))
        return {name: self.keys[name] for name in names}


def write_controlled(
    results: Path | str,
    target: Path | str,
    *,
    config: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] = lambda part: None,
) -> list[str]:
    """Seal each accepted cohort without open access into `target/<cohort>/`; return their ids.

    The section `seal` of `config` names the recipients, `PMCELL_SIGNING_KEY_FILE`
    the signing key. `UsageError` names what is missing before anything is
    written. `target/index.json`, the last file, lists the packages. All of it
    is its owner's alone.
    """
    with private_files():
        return _write_controlled(Path(results), Path(target), config, progress)


def _write_controlled(
    results: Path,
    target: Path,
    config: Mapping[str, Any] | None,
    progress: Callable[[str], None],
) -> list[str]:
    facts = load_facts(results, config=config, require_published=False)
    recipients = read_recipients(checked_section(SealSettings, (config or {}).get("seal")))
    hidden = facts.withheld
    signing_key = read_signing_key() if hidden else None
    atlas = load_atlas(facts.results) if hidden else None
    digests = {}
    for cohort in hidden:
        progress(f"cells and rows of {cohort.cohort_id}")
        assert atlas is not None
        assert signing_key is not None
        with whole_folder(target / cohort.cohort_id) as folder:
            _seal(facts, atlas, cohort, folder, recipients.of(cohort.cohort_id), signing_key)
            digests[cohort.cohort_id] = sha256_file(folder / MANIFEST)
    _remove_others(target, digests)
    target.mkdir(parents=True, exist_ok=True)
    close_folder(target)
    write_json(target / INDEX, {"pmcell": __version__, "manifests": digests})
    return sorted(digests)


def read_recipients(settings: SealSettings) -> Recipients:
    """Read the public keys of the recipients; `UsageError` for all that cannot be read at once."""
    if not settings.recipients:
        raise UsageError(
            "config: 'seal' must have 'recipients', a mapping of names to files of public keys, "
            "and has none. Example: seal: {recipients: {region: keys/region.pub}}"
        )
    faults = []
    keys: dict[str, bytes] = {}
    for name, path in sorted(settings.recipients.items()):
        try:
            keys[name] = read_recipient(Path(path))
        except UsageError as error:
            faults.append(
                Fault(
                    "config",
                    "must name a file with a public key",
                    str(error),
                    "Ask the recipient for it.",
                    column=f"seal.recipients.{name}",
                )
            )
    if faults:
        raise UsageError(str(FaultsError(faults)))
    return Recipients(keys, settings.cohorts)


def only(facts: Facts, cohort_id: str) -> Facts:
    """The facts as they would be if this cohort alone had open access: its rows, no others."""

    def seen(cohort: Cohort) -> Cohort:
        access = "open" if cohort.cohort_id == cohort_id else "controlled"
        registration = {**cohort.registration, "access": access}
        return dataclasses.replace(cohort, intake={**cohort.intake, "registration": registration})

    return dataclasses.replace(facts, cohorts=tuple(seen(cohort) for cohort in facts.cohorts))


def _seal(
    facts: Facts,
    atlas: Atlas,
    cohort: Cohort,
    folder: Path,
    recipients: Mapping[str, bytes],
    signing_key: Ed25519PrivateKey,
) -> None:
    about = {
        "cohort_id": cohort.cohort_id,
        "access": cohort.access,
        "pmcell": __version__,
        "schema_version": SCHEMA_VERSION,
        "release_version": facts.options.version,
    }
    sealer = Sealer(folder, recipients, signing_key, about)
    with scratch_folder(cohort.folder, ".sealing.") as scratch:
        for name, plain in _members(only(facts, cohort.cohort_id), atlas, cohort, scratch):
            sealer.add(plain, name)
            plain.unlink()
    sealer.close()


def _members(
    facts: Facts, atlas: Atlas, cohort: Cohort, scratch: Path
) -> Iterator[tuple[str, Path]]:
    """Each file of the package with its path in the scratch folder, one at a time."""
    name = f"cells/{cohort.cohort_id}.h5ad"
    write_cells(facts, atlas, cohort, scratch / name)
    yield name, scratch / name
    policy = Policy(facts, atlas)
    for table in TABLES:
        if table.disclosure is not None and table.disclosure.kind == INDIVIDUAL:
            name = f"tables/{table.name}.parquet"
            write_rows(table, policy, scratch / name)
            yield name, scratch / name


def _remove_others(target: Path, kept: Mapping[str, str]) -> None:
    """Remove packages of cohorts that are no longer to be handed out, such as withdrawn ones."""
    for folder in sorted(target.iterdir()) if target.is_dir() else ():
        if folder.is_dir() and folder.name not in kept and is_package(folder):
            shutil.rmtree(folder)
