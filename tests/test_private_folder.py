"""A cache lies only where nobody else can put a file: tried with real modes, links and owners."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from pmcell.private_folder import NotPrivateError, private_folder, process_folder

OTHER = 23_452
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_folder_and_what_leads_to_it_are_its_owners_alone(tmp_path):
    folder = private_folder(tmp_path / "a" / "b")
    assert [mode(path) for path in (folder, folder.parent)] == [0o700, 0o700]


def test_a_folder_that_others_could_only_read_is_closed_and_kept(tmp_path):
    (tmp_path / "cache").mkdir(mode=0o755)
    (tmp_path / "cache" / "kept").touch()
    folder = private_folder(tmp_path / "cache")
    assert mode(folder) == 0o700
    assert (folder / "kept").exists()


@pytest.mark.parametrize("bits", [0o777, 0o770, 0o702, 0o720])
@pytest.mark.parametrize("part", ["a", "a/b"])
def test_a_part_in_which_others_may_write_is_refused(tmp_path, bits, part):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / part).chmod(bits)
    with pytest.raises(NotPrivateError, match="must not be writable by others"):
        private_folder(tmp_path / "a" / "b")


def test_a_sticky_folder_open_to_all_may_lead_to_ones_own(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    assert mode(private_folder(tmp_path / "shared" / "mine" / "cache")) == 0o700


def test_a_link_in_a_folder_open_to_all_is_refused(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    (tmp_path / "shared" / "mine").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotPrivateError, match="must be no link"):
        private_folder(tmp_path / "shared" / "mine" / "cache")


def test_the_folder_itself_may_be_no_link(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "cache").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotPrivateError, match="must be a folder and no link"):
        private_folder(tmp_path / "cache")


def test_what_a_link_of_ones_own_leads_through_is_checked_too(tmp_path):
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "good").mkdir(mode=0o700)
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "a").symlink_to("../open")
    (tmp_path / "home" / "b").symlink_to("../good")
    (tmp_path / "home" / "c").symlink_to("b/../../open")
    with pytest.raises(NotPrivateError, match="open must not be writable by others"):
        private_folder(tmp_path / "home" / "a" / "cache")
    with pytest.raises(NotPrivateError, match="must be no link through"):
        private_folder(tmp_path / "home" / "c" / "cache")
    assert private_folder(tmp_path / "home" / "b" / "cache").is_dir()


def test_links_that_lead_to_each_other_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(NotPrivateError, match="must be no link"):
        private_folder(tmp_path / "a" / "cache")


@as_root
@pytest.mark.parametrize("part", ["a", "a/b", "a/b/planted"])
def test_what_another_user_owns_is_refused(tmp_path, part):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "planted").touch()
    os.chown(tmp_path / part, OTHER, OTHER)
    with pytest.raises(NotPrivateError, match=f"user {OTHER}'s"):
        private_folder(tmp_path / "a" / "b")


def test_a_folder_of_the_process_is_private_and_goes_with_it(tmp_path):
    code = "from pmcell.private_folder import process_folder as f; print(f('x-'), flush=True)"
    made = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(made.stdout.strip()).parent == tmp_path
    assert not list(tmp_path.iterdir())


def test_no_folder_is_made_where_others_could_exchange_it(tmp_path, monkeypatch):
    tmp_path.chmod(0o777)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(NotPrivateError, match="must not be writable by others"):
        process_folder("x-")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variable", ["PMCELL_CACHE_DIR", "NUMBA_CACHE_DIR"])
def test_kernels_are_not_read_from_a_folder_that_others_can_write(tmp_path, variable):
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    code = "from pmcell.core.compiler import CACHE_FOLDER as f; import numba; print(f); "
    code += "print(numba.config.CACHE_DIR)"
    places = {
        "XDG_CACHE_HOME": str(tmp_path / "home"),
        "NUMBA_CACHE_DIR": "",
        variable: str(shared),
    }
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **places},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [str(tmp_path / "home" / "pmcell" / "numba")] * 2
    assert "must not be writable by others" in done.stderr
    assert not list(shared.iterdir())


def test_without_a_folder_of_ones_own_kernels_are_compiled_and_not_kept(tmp_path):
    tmp_path.chmod(0o777)
    code = (
        "import numpy as np; from pmcell.core import compiler; print(compiler.CACHE_FOLDER); "
        "print(compiler.kernel(lambda x: x + 1)(1))"
    )
    none = "/dev/null/none"
    places = {"XDG_CACHE_HOME": none, "PMCELL_CACHE_DIR": none, "TMPDIR": str(tmp_path)}
    environment = {**os.environ, **places}
    environment.pop("NUMBA_CACHE_DIR", None)
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["None", "2"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("planted", ["in the environment", "in the temporary folder"])
def test_figures_read_no_settings_that_others_could_write(tmp_path, monkeypatch, planted):
    from pmcell.cli._job.run import _libraries_use

    name = "given" if planted == "in the environment" else f"pmcell-mpl-{os.getuid()}"
    (tmp_path / name).mkdir()
    (tmp_path / name).chmod(0o777)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if planted == "in the environment":
        monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / name))
    else:
        monkeypatch.delenv("MPLCONFIGDIR", raising=False)
    with _libraries_use(1):
        used = Path(os.environ["MPLCONFIGDIR"])
    assert used != tmp_path / name
    assert mode(used) == 0o700


def test_a_folder_for_figures_of_ones_own_is_kept(tmp_path, monkeypatch):
    from pmcell.cli._job.run import _libraries_use

    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "mine"))
    with _libraries_use(1):
        assert os.environ["MPLCONFIGDIR"] == str(tmp_path / "mine")
