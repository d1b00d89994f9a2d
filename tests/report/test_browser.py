"""The page in a real browser, where one is installed: no error, no request, scripts contained."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from browser import BROWSER, PATIENCE_SECONDS

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed"),
]


def test_the_page_logs_nothing_and_requests_nothing(hostile_page: Path, tmp_path: Path):
    log = tmp_path / "net.json"
    done = subprocess.run(
        [
            str(BROWSER),
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            f"--user-data-dir={tmp_path / 'profile'}",
            f"--log-net-log={log}",
            "--enable-logging=stderr",
            "--virtual-time-budget=3000",
            "--dump-dom",
            hostile_page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert "CONSOLE" not in done.stderr
    assert done.stdout.count('role="columnheader"') == done.stdout.count('<button type="button">')
    assert "127.0.0.1:9" not in log.read_text(errors="replace")
