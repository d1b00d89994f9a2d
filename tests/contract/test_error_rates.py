"""README.md and docs/strata.md print the error rates that one table holds, and say where from."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from repository import ROOT

FOLDER = ROOT / "tests" / "benchmarks" / "strata"


@pytest.fixture(scope="module")
def rates() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("rates", FOLDER / "rates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["rates"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["rates"]


def test_the_readme_prints_the_rates_of_the_table(rates: ModuleType) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert rates.with_rates(text) == text, (
        "write it anew: python tests/benchmarks/strata/rates.py --update-readme"
    )


def test_each_rate_is_measured_and_says_how(rates: ModuleType) -> None:
    assert [row["key"] for row in rates.rows()] == [*rates.RATES]
    for row in rates.rows():
        low, share, high = (float(row[name]) for name in ("low", "share", "high"))
        assert 0 <= low <= share <= high <= 1, row["key"]
        assert int(row["n"]) > 0
        assert (FOLDER / row["command"].split()[0]).is_file(), row["command"]
        assert row["tree"], row["key"]


def test_rates_taken_from_an_output_replace_older_ones(
    rates: ModuleType, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    before = rates.rows()
    table = tmp_path / "rates.tsv"
    table.write_text((FOLDER / "rates.tsv").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(rates, "TABLE", table)
    decisions = ["continuum"] * 3 + ["strata"]
    worlds = "".join(f"nothing,{seed},{told}\n" for seed, told in enumerate(decisions))
    output = tmp_path / "sets.csv"
    output.write_text("world,seed,decision\n" + worlds, encoding="utf-8")
    rates.take(output, "study.py", "abc")
    new = {row["key"]: row for row in rates.rows()}
    assert new["nothing"] == {
        "key": "nothing",
        "share": "0.2500",
        "low": "0.0456",
        "high": "0.6994",
        "n": "4",
        "command": "study.py",
        "tree": "abc",
    }
    assert [new[row["key"]] for row in before if row["key"] != "nothing"] == [
        row for row in before if row["key"] != "nothing"
    ]
