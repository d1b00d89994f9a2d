"""What a command prints fakes no other text on a screen, whatever labels others chose."""

import json
import os
import pty
import shlex
import subprocess
import sys

import pytest

from pmcell.cli import main
from pmcell.cli._file_health import print_health

ODD = "T\u202ellec\u200b\u2066x\x9b"


def _program(code: str) -> list[str]:
    """A command of pmcell that prints what a foreign file might say."""
    return [
        sys.executable,
        "-c",
        "import sys; from pmcell import cli; import pmcell.cli.verify as command\n"
        f"def run(args):\n    {code}\n    return 0\n"
        "command.run = run; sys.argv = ['pmcell', 'verify', '.']; sys.exit(cli.main())",
    ]


@pytest.mark.parametrize(
    "code",
    [
        f"print({ODD + chr(27) + '[2J' + chr(13) + chr(8)!r})",
        f"sys.stderr.writelines([{ODD!r}, 'end'])",
        f"from rich.console import Console; Console().print({ODD!r})",
        f"from pmcell.errors import DataError; raise DataError({ODD + chr(27) + '[2J'!r})",
    ],
)
def test_unseen_signs_are_written_as_their_numbers(code, tmp_path):
    done = subprocess.run(_program(code), capture_output=True, text=True, cwd=tmp_path)
    said = done.stdout + done.stderr
    assert r"T\u202ellec\u200b\u2066x\u009b" in said, said
    assert all(sign.isprintable() or sign == "\n" for sign in said)


def test_json_of_unseen_signs_stays_the_same_json(tmp_path):
    code = f"import json; print(json.dumps({[ODD]!r}, ensure_ascii=False))"
    done = subprocess.run(_program(code), capture_output=True, text=True, cwd=tmp_path)
    assert "\u202e" not in done.stdout
    assert json.loads(done.stdout) == [ODD]


def test_colours_reach_a_terminal_and_labels_turn_nothing_there(tmp_path):
    code = f"from rich.console import Console; Console().print('[red]{ODD}[/red]')"
    master, slave = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "NO_COLOR": ""}
    env.pop("NO_COLOR")
    done = subprocess.run(
        _program(code), stdout=slave, stderr=slave, stdin=slave, cwd=tmp_path, env=env
    )
    os.close(slave)
    said = os.read(master, 100_000).decode()
    os.close(master)
    assert done.returncode == 0, said
    assert "\x1b[31m" in said
    assert r"T\u202ellec\u200b" in said
    assert "\u202e" not in said


def test_errors_in_one_process_are_shown_so_too(capsys, tmp_path):
    assert main(["verify", str(tmp_path / "a\u202eb\x1b[2J")]) == 2
    err = capsys.readouterr().err
    assert r"a\u202eb\u001b[2J" in err
    assert "\u202e" not in err


@pytest.mark.parametrize("columns", ["20", "40", "80", "200", "x"])
def test_a_health_report_is_as_wide_as_the_terminal_at_most(columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", columns)
    metrics = {
        "counts_in": "layers/counts",
        "counts_are": "raw counts: whole numbers, from 1 to 29 in the sample of the cells",
        "gene_column": "gene_ids",
        "species": "human, 100.0 % of names known, and much more to be said of them here",
        "n_donors": 4,
        "n_samples": 4,
        "told_by": {"sample": "a_column_of_a_very_long_name" * 3},
        "notes": ["T\u202ecell"],
        "unused": [],
        "lacks": [],
        "to_be_said": ["access"],
    }
    print_health(metrics)
    lines = capsys.readouterr().out.splitlines()
    widths = {"20": 30, "40": 40, "80": 80, "200": 96, "x": 96}
    assert max(map(len, lines)) <= widths[columns]
    assert r"T\u202ecell" in "\n".join(lines)


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_no_error_and_no_file_takes_their_place(closed, tmp_path):
    """`pmcell … <&-`, as some schedulers and daemons start what they start."""
    code = (
        "import os; file = open('data', 'w'); print('said'); sys.stderr.write('told');"
        " sys.stdin.isatty(); sys.stdout.flush(); file.write(str(file.fileno())); file.close();"
        " os.fstat(0); os.fstat(1); os.fstat(2)"
    )
    call = " ".join(map(shlex.quote, _program(code)))
    done = subprocess.run(["sh", "-c", f"{call} {closed}"], cwd=tmp_path, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "data").read_text()) > 2
