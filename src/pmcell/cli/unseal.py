"""Check a sealed package and decrypt it, or only check it.

PMCELL_SIGNER_PUBLIC_KEY_FILE names the file of the sender's public key, which
must have come to you by another way than the package; PMCELL_PRIVATE_KEY_FILE
that of your Crypt4GH private key; its passphrase is asked for, or read from the
file that PMCELL_PASSPHRASE_FILE names. A decrypted file appears only when its
digest and length are as signed, readable by you alone; no file is replaced, and
none is written outside the folder. In Python, pmcell.open_controlled(PACKAGE)
opens the cells without a plaintext on disk.

Example:
  pmcell unseal results/controlled/ghent --check
  pmcell unseal results/controlled/ghent --out decrypted
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pmcell.spelling import plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's options."""
    parser.add_argument("package", type=Path, help="folder with manifest.json and *.c4gh files")
    goal = parser.add_mutually_exclusive_group(required=True)
    goal.add_argument("--check", action="store_true", help="check only; needs no private key")
    goal.add_argument("--out", type=Path, help="folder for the decrypted files")


def run(args: argparse.Namespace) -> int:
    """Check, then decrypt."""
    from pmcell.errors import FaultsError, UsageError
    from pmcell.io.crypt import keys
    from pmcell.publish.sealed.sealed import extract_all, package_faults, read_manifest

    if not args.package.is_dir():
        raise UsageError(f"PACKAGE must be a folder; {args.package} is not one")
    signer = keys.named_file(keys.SIGNER_PUBLIC_KEY, "the signer's public key", secret=False)
    manifest = read_manifest(args.package, keys.read_signer(signer))
    faults = package_faults(args.package, manifest)
    if faults:
        raise FaultsError(faults)
    print(f"{args.package}: signed, {plural(len(manifest['files']), 'file')} whole and in order.")
    if args.out is not None:
        path = keys.named_file(keys.PRIVATE_KEY, "your private key")
        private_key = keys.read_private_key(path, keys.read_passphrase)
        extract_all(args.package, manifest, private_key, args.out)
        print(f"Decrypted to {args.out}. These files are personal data: keep them as such.")
    return 0
