"""What a killed process left of plaintext is removed by the next; what a living one uses is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pmcell.io.scratch import scratch_folder

HOLD = """
import sys, time
from pmcell.io.scratch import scratch_folder
with scratch_folder(sys.argv[1], "x.") as folder:
    (folder / "plain").write_text("secret")
    print(folder, flush=True)
    time.sleep(600)
"""


def aged(folder: Path) -> Path:
    os.utime(folder, (0, 0))
    return folder


@pytest.mark.parametrize("is_killed", [False, True])
def test_only_the_folder_of_a_dead_process_is_removed(tmp_path, is_killed):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    left = aged(Path(process.stdout.readline().strip()))
    if is_killed:
        process.send_signal(signal.SIGKILL)
        process.wait()
    try:
        with scratch_folder(tmp_path, "x.") as folder:
            assert folder.stat().st_mode & 0o077 == 0
            assert left.exists() != is_killed
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert not folder.exists()


def test_links_files_and_other_names_are_left_alone(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "kept").touch()
    (tmp_path / "x.link").symlink_to(tmp_path / "mine")
    (tmp_path / "x.file").touch()
    aged(tmp_path / "x.file")
    aged(tmp_path / "mine")
    with scratch_folder(tmp_path, "x."):
        pass
    assert (tmp_path / "mine" / "kept").exists()
    assert (tmp_path / "x.file").exists()
