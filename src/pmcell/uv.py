"""Where uv finds packages: pip's configuration in uv's words. Standard library only.

`scripts/bootstrap.py` loads this file before pmcell is installed.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

UV_SETTINGS = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
}
"""pip's settings and what uv calls them: uv does not read pip's own configuration."""


def uv_settings(pip: Sequence[str]) -> dict[str, str]:
    """Variables under which uv asks the same package index as `pip` (a command) does."""
    listed = subprocess.run([*pip, "config", "list"], capture_output=True, text=True, check=False)
    settings = translate_pip_config(listed.stdout)
    # With an extra index uv would look no further than the first that knows a name; the hashes
    # decide what may be installed, wherever it comes from.
    settings["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    settings["UV_PYTHON_DOWNLOADS"] = "never"
    return {name: value for name, value in settings.items() if name not in os.environ}


def translate_pip_config(listed: str) -> dict[str, str]:
    """Lines of `pip config list` as variables of uv.

    >>> translate_pip_config("global.index-url='https://mirror.example/simple'")
    {'UV_DEFAULT_INDEX': 'https://mirror.example/simple'}
    """
    settings = {}
    # pip lets its environment variables, listed as ':env:', win over its files.
    for line in sorted(listed.splitlines(), key=lambda line: line.startswith(":env:")):
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2].replace("_", "-")
        if key in UV_SETTINGS:
            settings[UV_SETTINGS[key]] = " ".join(value.strip().strip("'\"").split("\\n")).strip()
    return settings
