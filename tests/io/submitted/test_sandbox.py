"""Readers run in a child, whose end, memory, time and errors are those of one file."""

from __future__ import annotations

import pytest

from pmcell.errors import DataError, FaultsError, UsageError
from pmcell.io.submitted import sandbox

pytestmark = pytest.mark.child


def test_the_sandbox_returns_the_result_and_the_errors_of_a_function(tmp_path):
    (tmp_path / "a.h5ad").write_bytes(b"")
    target = "pmcell.io.submitted.readers:detect_format"
    assert sandbox.run(target, {"path": str(tmp_path / "a.h5ad")}) == "h5ad"
    with pytest.raises(DataError, match="there is no such file") as error:
        sandbox.run(target, {"path": str(tmp_path / "b.h5ad")})
    assert error.value.reason == "file_missing"
    with pytest.raises(FaultsError, match="0 bytes") as faults:
        sandbox.run(
            "pmcell.io.submitted.preflight:preflight",
            {"path": str(tmp_path / "a.h5ad"), "fmt": "h5ad"},
        )
    assert faults.value.faults[0].reason == "empty_file"
    with pytest.raises(UsageError, match="format must be one of"):
        sandbox.run(
            "pmcell.io.submitted.readers:inspect", {"path": str(tmp_path / "a.h5ad"), "fmt": "loom"}
        )


def test_a_reader_that_crashes_leaves_the_parent_alive():
    with pytest.raises(DataError, match="its reader crashed") as error:
        sandbox.run("os:abort", {})
    assert error.value.reason == "reader_crashed"


def test_a_reader_that_wants_too_much_memory_is_stopped():
    with pytest.raises(DataError, match="must fit 1024 MB of memory") as error:
        sandbox.run("numpy:ones", {"shape": 10**10}, memory_mb=1024)
    assert error.value.reason == "memory_limit"
    with pytest.raises(UsageError, match=r"must be 1024 to \d+ \(MB\), got 100"):
        sandbox.run("os:getpid", {}, memory_mb=100)


def test_a_reader_that_never_ends_is_stopped():
    with pytest.raises(DataError, match="at most 1 s of CPU time") as error:
        sandbox.run("timeit:timeit", {"stmt": "while True: pass", "number": 1}, time_seconds=1)
    assert error.value.reason == "time_limit"


def test_an_exception_that_nobody_foresaw_is_a_fault_of_the_data_with_its_places():
    with pytest.raises(sandbox.ReaderFailedError, match="ZeroDivisionError: division") as error:
        sandbox.run("timeit:timeit", {"stmt": "1/0", "number": 1})
    assert error.value.reason == "reader_failed"
    lines = error.value.log_lines(with_text=False)
    assert any("timeit.py" in line for line in lines)
    assert "division" not in "".join(lines)
    assert "division" in "".join(error.value.log_lines(with_text=True))


def test_a_result_that_json_cannot_hold_is_a_failure_of_the_reader():
    with pytest.raises(sandbox.ReaderFailedError, match="not JSON serializable"):
        sandbox.run("numpy:ones", {"shape": 2})


def test_a_module_that_is_missing_here_is_no_fault_of_the_data():
    with pytest.raises(sandbox.SandboxBug, match="no_such_module"):
        sandbox.run("no_such_module:f", {})


def test_the_child_loads_no_filter_plugins():
    assert sandbox.run("os:getenv", {"key": "HDF5_PLUGIN_PRELOAD"}) == "::"
    assert sandbox.run("os:getenv", {"key": "HDF5_PLUGIN_PATH"}) == ""


def test_what_the_machine_refuses_comes_with_its_file(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(NotADirectoryError) as caught:
        sandbox.run("builtins:open", {"file": str(tmp_path / "file" / "below")})
    assert caught.value.filename == str(tmp_path / "file" / "below")
