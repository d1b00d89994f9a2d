"""Attacks on what people rely on, and the figures that PRIVACY.md gives of them.

    python tests/attack_figures.py > figures.md

prints the table that stands between the marks of PRIVACY.md;
`tests/contract/test_privacy_figures.py` runs the attacks again and compares.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

MARKS = ("<!-- figures: begin -->", "<!-- figures: end -->")
N_GENES = 2_000


def membership_auc(n_donors: int, *, n_numbers: int = N_GENES, n_trials: int = 400) -> float:
    """Chance that a member's vector lies nearer to the published mean than a stranger's.

    Donors' values are independent normal in each gene; the attacker has the target's vector
    and a reference mean of 500 others (Homer et al. 2008, doi:10.1371/journal.pgen.1000167).
    """
    rng = np.random.default_rng(n_donors)
    scores: dict[bool, list[float]] = {True: [], False: []}
    reference = rng.standard_normal((500, n_numbers)).mean(axis=0)
    for _ in range(n_trials // 20):
        members = rng.standard_normal((n_donors, n_numbers))
        published = members.mean(axis=0) - reference
        strangers = rng.standard_normal((10, n_numbers))
        for is_member, vectors in ((True, members[:10]), (False, strangers)):
            scores[is_member] += ((vectors - reference) @ published).tolist()
    inside, outside = (np.array(scores[key]) for key in (True, False))
    return float((inside[:, None] > outside[None, :]).mean())


def relinked(*, erased: bool, n_people: int = 300) -> int:
    """People whom the holder of the key file finds again by trying every id."""
    from pmcell.errors import UsageError
    from pmcell.registry.intake.keyring import add_donors, erase_donor, new_keyring
    from pmcell.registry.intake.pseudonyms import pseudonym

    names = [f"D{number}" for number in range(n_people)]
    ring = add_donors(new_keyring(), "c", names)
    published = {pseudonym(ring, "donor", "c", name) for name in names}
    if erased:
        for name in names:
            ring = erase_donor(ring, "c", name)
    found = 0
    for name in names:
        try:
            found += pseudonym(ring, "donor", "c", name) in published
        except UsageError:
            continue
    return found


def linked_by_cells() -> tuple[int, int]:
    """People under other names whom somebody finds who has half of their cells, counted anew."""
    import pmcell as pm
    from planted_duplicates import cells_of, plant
    from pmcell.registry.duplicates.match import match_donors

    adata = pm.simulate.simulate(n_cohorts=1, n_donors=15, cells_per_sample=70, n_genes=700, seed=9)
    donors = adata.obs["donor_id"].astype(str).to_numpy(object)
    chosen = sorted(set(donors))[:3]
    own = plant(adata.X, adata.var_names, donors, chosen, ("half", "thinned"), seed=9)
    found = match_donors([cells_of(adata.X, adata.var_names, donors), own])
    wanted = {frozenset((f"again-{n}", name)) for n, name in enumerate(chosen)}
    return len(wanted & {frozenset((item.one, item.other)) for item in found}), len(wanted)


def changes_found() -> tuple[int, int, bool, bool]:
    """Changes of a trail that are found; and an older state of it, without a witness and with."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from pmcell.errors import FaultsError
    from pmcell.io.crypt.chain import append, read_chain
    from pmcell.io.crypt.chain_form import Head, head_path

    def broken(path: Path, key: Ed25519PrivateKey, noted: Head | None = None) -> bool:
        try:
            read_chain(path, chain="audit", signers=[key.public_key()], witness=noted)
        except FaultsError:
            return True
        return False

    with tempfile.TemporaryDirectory() as folder:
        path, key = Path(folder) / "audit.jsonl", Ed25519PrivateKey.generate()
        append(path, [{"n": n} for n in range(6)], chain="audit", key=key, create=True)
        older = path.read_bytes(), head_path(path).read_bytes()
        witness = append(path, [{"n": n} for n in range(6, 9)], chain="audit", key=key)
        whole, head = path.read_bytes(), head_path(path).read_bytes()
        lines = whole.splitlines(keepends=True)
        changed = [
            (whole.replace(b'"n":4', b'"n":5'), head),
            (b"".join([*lines[:2], lines[3], lines[2], *lines[4:]]), head),
            (b"".join(lines[:-1]), head),
            (b"".join([*lines, lines[-1]]), head),
            (b"".join([*lines[:4], *lines[5:]]), head),
            (whole, older[1]),
            (whole, head.replace(b'"n": 9', b'"n": 8')),
        ]
        n_found = 0
        for data, signed in changed:
            path.write_bytes(data)
            head_path(path).write_bytes(signed)
            n_found += broken(path, key)
        path.write_bytes(older[0])
        head_path(path).write_bytes(older[1])
        return n_found, len(changed), broken(path, key), broken(path, key, witness)


def subtracted(n_withdrawn: int, *, n_donors: int = 60, n_trials: int = 40) -> tuple[float, float]:
    """Share of one's counts that two exact sums give; and who of all is found to have left.

    The attacker holds the sums of counts over the donors of a cohort before and after, and for
    the second figure the own counts of people: the AUC is the chance that the one who left is
    nearer to the difference than one who stayed.
    """
    rng = np.random.default_rng(n_withdrawn)
    n_exact, n_counts, inside, outside = 0, 0, [], []
    for _ in range(n_trials):
        rate = rng.gamma(0.4, 50.0, N_GENES) * np.exp(rng.normal(0, 0.5, (n_donors, N_GENES)))
        counts = rng.poisson(rate)
        difference = counts.sum(axis=0) - counts[n_withdrawn:].sum(axis=0)
        n_exact += int(((difference == counts[0]) & (counts[0] > 0)).sum())
        n_counts += int((counts[0] > 0).sum())
        own = np.log1p(counts)
        told = np.log1p(difference / n_withdrawn) - own.mean(axis=0)
        scores = (own - own.mean(axis=0)) @ told
        inside += scores[:n_withdrawn].tolist()
        outside += scores[n_withdrawn:].tolist()
    auc = float((np.array(inside)[:, None] > np.array(outside)[None, :]).mean())
    return n_exact / n_counts, auc


def refused_after(n_withdrawn: int, *, n_donors: int = 60, least: int = 10) -> bool:
    """Whether the register refuses the sums of a cohort after so many have left."""
    from pmcell.publish.disclosure.register import register_faults
    from pmcell.publish.disclosure.register_file import add_release

    donors = [f"c:{number}" for number in range(n_donors)]
    before, after = ({"cohort c": frozenset(donors[low:])} for low in (0, n_withdrawn))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "register.jsonl"
        add_release(path, before, version="1", content_sha256="0" * 64)
        return bool(register_faults(path, after, {"cohort c": least}))


def rows() -> Iterator[tuple[str, str, str]]:
    """Who tries what, how it goes, and what follows."""
    yield (
        "a reader tests whether a person is behind a published mean of 2,000 genes",
        ", ".join(f"AUC {membership_auc(n):.2f} at {n} donors" for n in (10, 100, 500)),
        "no threshold protects such a mean: it is made of open cohorts, or withheld",
    )
    yield (
        "the same with a mean of 30 numbers",
        ", ".join(f"AUC {membership_auc(n, n_numbers=30):.2f} at {n} donors" for n in (10, 100)),
        "few numbers over many donors can be shown; a few donors never",
    )
    yield (
        "the holder of the pseudonym keys tries every id (300 people)",
        f"{relinked(erased=False)} found with the keys, {relinked(erased=True)} after erasing them",
        "custody of the file decides; erasing ends it, once its backups are erased too",
    )
    (of_one, _), (of_ten, auc) = subtracted(1), subtracted(10)
    refused = [n for n in range(1, 60) if refused_after(n)]
    passed = [n for n in range(1, 60) if n not in refused]
    yield (
        "somebody saved the exact sums of a cohort of 60 before a withdrawal, and subtracts those "
        "after it",
        f"one left: {of_one:.0%} of their counts; ten left together: {of_ten:.0%}, but AUC "
        f"{auc:.2f} for who they were; without open access the gate lets a second release pass "
        f"only after {passed[0]} to {passed[-1]} have left",
        "the release before is taken down and withdrawals are collected; whoever saved it and has "
        "a person's counts can still tell that they left: sums of many genes protect nobody",
    )
    found, all_people = linked_by_cells()
    yield (
        "somebody has half of a person's cells, counted anew, and looks for them by counts",
        f"{found} of {all_people} found under other names",
        "pseudonyms do not hide cells from who has them already: cells stay personal data",
    )
    n_found, n_changes, is_older, is_witnessed = changes_found()
    yield (
        "an insider edits, reorders, cuts, repeats or replaces the audit trail or its head",
        f"{n_found} of {n_changes} changes found; an older state of both: "
        f"{'found' if is_older else 'not found'} alone, "
        f"{'found' if is_witnessed else 'not found'} against a noted head",
        "keep a copy of the head elsewhere",
    )


def table() -> str:
    """The table as it stands in PRIVACY.md."""
    lines = ["| who tries what | how it goes | what follows |", "|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
