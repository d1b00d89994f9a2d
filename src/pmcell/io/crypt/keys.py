"""Key files: recipients' public keys, and private keys that environment variables name.

A private key is never a value in a configuration, parameter or log: a variable
names its file, and the file must be readable by its owner alone. Keys for
encryption are Crypt4GH's (X25519, `crypt4gh-keygen`), keys for signatures are
Ed25519 (`openssl genpkey -algorithm ed25519`). A key file with the line
`TEST_MARK` is refused unless `PMCELL_ALLOW_TEST_KEYS=1`.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shlex
import stat
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pmcell.errors import UsageError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import (
        Ed25519PrivateKey,
        Ed25519PublicKey,
    )

SIGNING_KEY = "PMCELL_SIGNING_KEY_FILE"
SIGNER_PUBLIC_KEY = "PMCELL_SIGNER_PUBLIC_KEY_FILE"
PRIVATE_KEY = "PMCELL_PRIVATE_KEY_FILE"
PASSPHRASE = "PMCELL_PASSPHRASE_FILE"
ALLOW_TEST_KEYS = "PMCELL_ALLOW_TEST_KEYS"
MAX_KEY_BYTES = 1 << 20
TEST_MARK = "PMCELL TEST KEY: NEVER USE IT FOR REAL DATA"

MAKE_SIGNING = (
    "Make one with: openssl genpkey -algorithm ed25519 -out KEY; chmod 600 KEY, and keep it "
    "outside the study folder."
)


def named_file(variable: str, purpose: str, *, secret: bool = True, make: str = "") -> Path:
    """The file that an environment variable names; `UsageError` when there is none, or it is open.

    A secret file must grant nothing to group and others.
    """
    name = os.environ.get(variable, "")
    if not name:
        set_it = make or f"Set it: export {variable}=FILE"
        raise UsageError(f"{variable} must name the file of {purpose}; it is not set. {set_it}")
    return key_file(Path(name), purpose, secret=secret, make=make)


def key_file(
    path: Path, purpose: str, *, secret: bool, make: str = "", max_bytes: int = MAX_KEY_BYTES
) -> Path:
    """`path`, if it is a file that may be used as `purpose`; `UsageError` says why not.

    A secret file must be this user's own, and grant nothing to group and others.
    """
    if not path.is_file():
        raise UsageError(f"{purpose} must be a file; there is none at {str(path)!r}. {make}")
    found = path.stat()
    if secret and found.st_uid != os.geteuid():
        raise UsageError(
            f"{purpose}, {str(path)!r}, must be your own file; it belongs to user {found.st_uid}, "
            f"who can read and change it. Do: chown {os.geteuid()} {shlex.quote(str(path))}, or "
            "copy it"
        )
    if secret and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UsageError(
            f"{purpose}, {str(path)!r}, must be readable by its owner alone. "
            f"Do: chmod 600 {shlex.quote(str(path))}"
        )
    if found.st_size > max_bytes:
        raise UsageError(
            f"{purpose}, {str(path)!r}, must be a key file of at most {max_bytes} bytes; it "
            f"has {found.st_size}. {make}"
        )
    if TEST_MARK.encode() in path.read_bytes() and os.environ.get(ALLOW_TEST_KEYS) != "1":
        raise UsageError(
            f"{purpose}, {str(path)!r}, is marked as a test key: anyone may have it. "
            f"Use a key of your own. {make}"
        )
    return path


def read_recipient(path: Path) -> bytes:
    """The 32 bytes of a Crypt4GH or OpenSSH Ed25519 public key; `UsageError` for anything else."""
    from crypt4gh.keys import get_public_key

    key_file(path, "a recipient's public key", secret=False)
    text = path.read_text(encoding="ascii", errors="replace")
    must = f"a recipient's public key, {str(path)!r}, must be a Crypt4GH or OpenSSH Ed25519 one"
    if "PRIVATE KEY" in text:
        raise UsageError(
            f"{must}; it is a private key. Name the .pub file, and keep the other out of the study."
        )
    try:
        key = bytes(_pem_body(text) if "CRYPT4GH" in text else get_public_key(path))
    except Exception as error:  # the library raises whatever its parsers do
        raise UsageError(f"{must}; it cannot be read: {error}") from error
    if len(key) != 32:
        raise UsageError(f"{must}; it has {len(key)} bytes instead of 32")
    if not _is_usable(key):
        raise UsageError(f"{must}; everyone knows the secret that belongs to this one")
    return key


def _is_usable(public: bytes) -> bool:
    """Whether an X25519 key is none of the few with which every secret is zero."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    except ValueError:
        return False
    return True


def read_private_key(path: Path, passphrase: Callable[[], str]) -> bytes:
    """The 32 bytes of a Crypt4GH private key; `passphrase` is asked only when it is locked."""
    import io

    from crypt4gh.keys import c4gh

    quiet()
    key_file(path, "the private key", secret=True)
    try:
        stream = io.BytesIO(_pem_body(path.read_text(encoding="ascii", errors="replace")))
        if stream.read(len(c4gh.MAGIC_WORD)) != c4gh.MAGIC_WORD:
            raise ValueError("another kind of key")
        return bytes(c4gh.parse_private_key(stream, passphrase))
    except UsageError:
        raise
    except Exception as error:  # a wrong passphrase or damaged file
        raise UsageError(
            f"the private key {str(path)!r} must be a Crypt4GH one that its passphrase opens; "
            f"it is not ({type(error).__name__}). Make a pair with: crypt4gh-keygen"
        ) from error


def read_passphrase() -> str:
    """The passphrase in the file that `PMCELL_PASSPHRASE_FILE` names, else asked for."""
    import getpass

    if os.environ.get(PASSPHRASE):
        path = named_file(PASSPHRASE, "the passphrase")
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    return getpass.getpass("Passphrase of the private key: ")


def read_signing_key() -> Ed25519PrivateKey:
    """The Ed25519 private key in the file that `PMCELL_SIGNING_KEY_FILE` names."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    path = named_file(SIGNING_KEY, "the signing key", make=MAKE_SIGNING)
    raw = path.read_bytes()
    locked = b"ENCRYPTED" in raw
    key = _loaded(
        lambda: load_pem_private_key(raw, read_passphrase().encode() if locked else None),
        f"the signing key {str(path)!r} must be an Ed25519 private key in PEM form. {MAKE_SIGNING}",
    )
    if not isinstance(key, Ed25519PrivateKey):
        raise UsageError(f"the signing key {str(path)!r} must be Ed25519. {MAKE_SIGNING}")
    return key


def read_signer(path: Path) -> Ed25519PublicKey:
    """The Ed25519 public key of a signer, in PEM form."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key_file(path, "the signer's public key", secret=False)
    must = (
        f"the signer's public key {str(path)!r} must be an Ed25519 public key in PEM form. "
        "The signer makes it with: openssl pkey -in KEY -pubout"
    )
    key = _loaded(lambda: load_pem_public_key(path.read_bytes()), must)
    if not isinstance(key, Ed25519PublicKey):
        raise UsageError(must)
    return key


def fingerprint(public: bytes) -> str:
    """`sha256:` and the digest of a public key's 32 bytes: what two people compare by voice."""
    return f"sha256:{hashlib.sha256(public).hexdigest()}"


def quiet() -> None:
    """Keep crypt4gh from logging: at level DEBUG it writes session keys and private keys."""
    import logging

    logging.getLogger("crypt4gh").setLevel(logging.CRITICAL)


def _loaded(load: Callable[[], Any], must: str) -> Any:
    try:
        return load()
    except (ValueError, TypeError) as error:
        raise UsageError(must) from error


def _pem_body(text: str) -> bytes:
    """What stands between BEGIN and END; text around it, such as `TEST_MARK`, is no part of it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    start = next(n for n, line in enumerate(lines) if line.startswith("-----BEGIN "))
    stop = next(n for n, line in enumerate(lines) if line.startswith("-----END "))
    return base64.b64decode("".join(lines[start + 1 : stop]), validate=True)


def trusted_signers(what: str) -> list[Ed25519PublicKey]:
    """The keys that may have signed a chain: the public one that is named, else the signing key's.

    `what` names the chain, in the error where neither is set.
    """
    if os.environ.get(SIGNER_PUBLIC_KEY):
        path = named_file(SIGNER_PUBLIC_KEY, "the signer's public key", secret=False)
        return [read_signer(path)]
    if os.environ.get(SIGNING_KEY):
        return [read_signing_key().public_key()]
    raise UsageError(
        f"{SIGNER_PUBLIC_KEY} must name the public key by which {what} is verified "
        f"(or {SIGNING_KEY} the key that signs it); neither is set. The signer makes it with: "
        "openssl pkey -in KEY -pubout -out KEY.pub"
    )
