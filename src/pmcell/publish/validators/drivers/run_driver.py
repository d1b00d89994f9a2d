"""Run one driver in its validator's environment and print what it found as JSON.

python -I run_driver.py DRIVER.py RELEASE OPTIONS_AS_JSON
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import sys
import traceback
from pathlib import Path
from typing import Any


def main(driver: str, release: str, options: str) -> int:
    """Print `{"checks": …, "raw": …}`, or `{"error": …}` where the tool itself broke down."""
    folder = Path(release).resolve()
    os.chdir(folder)
    try:
        # What tools print goes to standard error; standard output is the result alone.
        with contextlib.redirect_stdout(sys.stderr):
            result = _load(driver).check(folder, json.loads(options))
    except Exception as error:
        traceback.print_exc()
        result = {"checks": [], "raw": None, "error": f"{type(error).__name__}: {error}"}
    json.dump(_scrubbed(result, folder), sys.stdout, default=str, sort_keys=True)
    return 0


def _load(driver: str) -> Any:
    # Loaded under another name: a driver is called like the tool that it imports.
    spec = importlib.util.spec_from_file_location("driver", driver)
    if spec is None or spec.loader is None:
        raise ImportError(driver)
    module = importlib.util.module_from_spec(spec)
    sys.modules["driver"] = module
    spec.loader.exec_module(module)
    return module


def _scrubbed(value: Any, folder: Path) -> Any:
    """The value without paths of this machine; those inside the release become relative."""
    if isinstance(value, dict):
        return {str(key): _scrubbed(item, folder) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item, folder) for item in value]
    if not isinstance(value, str):
        return value
    text = value.replace(folder.as_uri() + "/", "").replace(folder.as_uri(), ".")
    text = text.replace(f"{folder}/", "").replace(str(folder), ".")
    text = text.replace(sys.prefix, "<environment>")
    return re.sub(r"(?:file://)?/(?:tmp|var|home|root|Users)/[^\s'\"<>)]*", "<path>", text)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
