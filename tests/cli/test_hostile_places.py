"""Names and places that a disk, a shell or a person makes hard: one sentence, never a traceback."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import resource
import subprocess
import sys

import pytest

from pmcell import cli
from pmcell.cli import main
from pmcell.io.system import MIN_ADDRESS_SPACE, explain, no_address_space

ODD = 'it\'s a "ré lease" $(x) 🧬'


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOTDIR, "a file stands in the way"),
        (errno.EEXIST, "a file of that name is there"),
        (errno.EISDIR, "a folder has that name"),
        (errno.ENAMETOOLONG, "too long"),
        (errno.ELOOP, "lead to each other"),
        (errno.EROFS, "read-only"),
        (errno.ENOSPC, "it is full"),
        (errno.EACCES, "permission was denied"),
    ],
)
def test_what_a_disk_refuses_is_a_sentence_with_its_place(number, said):
    sentence = explain(OSError(number, "words of the system", "a/b"))
    assert sentence is not None
    assert sentence.startswith("a/b: ")
    assert said in sentence


def test_of_a_file_that_cannot_be_put_in_place_its_own_name_is_told(tmp_path):
    (tmp_path / "part").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError) as caught:
        (tmp_path / "part").replace(tmp_path / "folder")
    assert explain(caught.value).startswith(f"{tmp_path / 'folder'}: ")


def test_a_missing_file_that_nobody_foresaw_is_no_sentence():
    assert explain(FileNotFoundError(errno.ENOENT, "no such file", "a")) is None


@pytest.mark.parametrize(
    "command",
    [
        ["patient", "a:b", "--release", "{}", "--out", "out"],
        ["gaps", "{}"],
        ["report", "--release", "{}", "--out", "r.html"],
        ["verify", "{}"],
        ["map", "x.h5ad", "--release", "{}", "--out", "out"],
        ["release", "diff", "{}", "{}"],
        ["export-hca", "{}", "c1", "--out", "new.h5ad"],
    ],
)
@pytest.mark.parametrize(
    "made", ["nothing", "a file", "empty", "no JSON", "nested", "another", "bytes"]
)
def test_what_is_no_release_is_said_by_every_command(tmp_path, monkeypatch, capsys, command, made):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.h5ad").write_text("x")
    folder = tmp_path / ODD
    contents = {
        "no JSON": b"{",
        "nested": b"[" * 100_000,
        "another": json.dumps({"schema_version": [], "files": 7}).encode(),
        "bytes": bytes(range(256)),
    }
    if made == "a file":
        folder.write_text("x")
    elif made != "nothing":
        folder.mkdir()
    if made in contents:
        (folder / "manifest.json").write_bytes(contents[made])
    code = main([part.format(folder) for part in command])
    assert code in (2, 3)
    told = capsys.readouterr().err
    assert ODD in told or "manifest.json" in told
    assert "release" in told or "manifest" in told


def test_a_link_in_a_release_of_others_is_not_exported(tmp_path, capsys):
    (tmp_path / "release" / "cells").mkdir(parents=True)
    (tmp_path / "secret.h5ad").write_text("x")
    (tmp_path / "release" / "cells" / "c1.h5ad").symlink_to(tmp_path / "secret.h5ad")
    out = tmp_path / "x.h5ad"
    assert main(["export-hca", str(tmp_path / "release"), "c1", "--out", str(out)]) == 3
    assert "it is a link" in capsys.readouterr().err
    assert not out.exists()


def test_cells_that_are_none_are_not_exported(tmp_path, capsys):
    cells = tmp_path / "release" / "cells"
    cells.mkdir(parents=True)
    (cells / "c1.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(200))
    out = tmp_path / "x.h5ad"
    assert main(["export-hca", str(tmp_path / "release"), "c1", "--out", str(out)]) == 3
    assert "c1.h5ad" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["gaps", "release", "--out", "release/tables/donors.parquet"],
        ["report", "--release", "release", "--out", "release/manifest.json"],
        ["export-hca", "release", "c1", "--out", "release/cells/c1.h5ad"],
        ["map", "x.h5ad", "--release", "release", "--out", "release/mapped"],
        ["map", "x.h5ad", "--release", "release", "--out", "link/mapped"],
        ["unseal", "package", "--out", "release"],
        ["export", "c1:d1", "--recipient", "k.pub", "--out", "release"],
        ["seal", "--results", "results", "--config", "c.yaml", "--out", "release/controlled"],
        ["consent", "export", "--cohort", "c1", "--out", "release/consents.json"],
        ["pseudonyms", "migrate", "c1", "--out", "k", "--map", "release/map.tsv"],
        ["patient", "c1:d1", "--release", "other", "--out", "release/dossier"],
        ["estimate", "--refit", ".", "--out", "release/resources.yaml"],
        ["release", "--results", "results", "--out", "release/other"],
        ["release", "--results", "results", "--out", "link/other"],
        ["init", "release"],
        ["init", "link/study"],
        ["demo", "--out", "release/demo"],
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_written_into_a_release(tmp_path, monkeypatch, capsys, command):
    """It would be handed on with it, and the release no more be what its manifest says."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "release").mkdir()
    (tmp_path / "link").symlink_to("release", target_is_directory=True)
    manifest = {"pmcell": "0", "content_sha256": "a", "cohorts": {}}
    (tmp_path / "release" / "manifest.json").write_text(json.dumps(manifest))
    assert main(command) == 2
    assert "must not lie in a release" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "release").iterdir()] == ["manifest.json"]


@pytest.mark.parametrize(
    ("command", "before"),
    [
        (["gaps", "release", "--out", "{}"], "region,n_donors,n_other_donors,power,rank\n"),
        (
            ["report", "--release", "release", "--out", "{}"],
            "<!doctype html><title>T · pmcell report</title>",
        ),
        (["export-hca", "release", "c1", "--out", "{}"], "\x89HDF\r\n\x1a\n"),
        (["consent", "export", "--cohort", "c1", "--out", "{}"], '{"resourceType": "Bundle"}'),
        (["consent", "add", "narrow", "--draft", "{}"], '{"act": "a", "effective_from": "b"}'),
        (["estimate", "--refit", ".", "--out", "{}"], "# What each step needs: a constant"),
        (["pseudonyms", "migrate", "c1", "--map", "{}"], "cohort_id\tbefore\tafter\n"),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
@pytest.mark.parametrize("others", ["x", "region,n_donors\n", "{}", "\x00\x01"])
def test_a_file_that_a_command_did_not_write_is_not_replaced(
    tmp_path, monkeypatch, capsys, command, before, others
):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "target"
    command = [word.format(target) for word in command]
    target.write_bytes(others.encode("latin-1"))
    assert main(command) == 2
    assert "is something else. Nothing was written" in capsys.readouterr().err
    assert target.read_bytes() == others.encode("latin-1")
    # Its own of an earlier time is, as are empty files: what is missing here is all the rest.
    for known in (before, ""):
        target.write_bytes(known.encode("latin-1", "replace"))
        assert main(command) != 0
        assert "something else" not in capsys.readouterr().err


@pytest.mark.parametrize("words", [["receipts", "a:b"], ["export", "a:b", "--recipient", "k"]])
def test_the_root_of_the_disk_is_a_folder_as_others(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    out = ["--out", "x"] if words[0] == "export" else []
    assert main([*words, "--results", "/", *out]) == 2
    assert main(["estimate", "--directory", "/"]) == 2
    assert main(["report", "--release", "/", "--out", "/"]) == 2


@pytest.mark.parametrize("shapes", ["nowhere", "file", "empty", "/dev/null"])
def test_shapes_that_are_none_are_not_passed_over(tmp_path, monkeypatch, capsys, shapes):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    assert main(["validate", "empty", "--only", "pmcell-verify", "--shapes", shapes]) == 2
    assert "--shapes must name a folder with shapes" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["folder", "/", ".", "/dev/null"])
def test_a_trail_that_can_be_no_file_is_a_wrong_call(tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "key.pem").write_text("x")
    monkeypatch.setenv("PMCELL_SIGNER_PUBLIC_KEY_FILE", "key.pem")
    assert main(["audit", "show", "--file", place]) == 2
    monkeypatch.setenv("PMCELL_AUDIT_FILE", place)
    capsys.readouterr()
    assert main(["verify", "folder"]) == 2
    assert "PMCELL_AUDIT_FILE must name the file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["consent", "import", "{}", "--cohort", "c1"],
        ["pseudonyms", "rotate", "{}"],
        ["check", "{}"],
    ],
    ids=lambda words: words[0],
)
def test_a_name_that_no_disk_takes_is_a_wrong_call_among_free_words_too(
    tmp_path, monkeypatch, capsys, words
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "cohorts" / "c1").mkdir(parents=True)
    (tmp_path / "config" / "config.yaml").write_text("{}\n")
    (tmp_path / "config" / "cohorts" / "c1" / "cohort.yaml").write_text("id: c1\n")
    assert main([word.format("x" * 300) for word in words]) == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["gaps", "release", "--prevalence", "file", "--out", "file"],
        ["gaps", "release", "--prevalence", "file", "--out", "link"],
        ["export-hca", "release", "c1", "--samples", "file", "--out", "./file"],
        ["estimate", "--config", "file", "--refit", ".", "--out", "file"],
        ["pseudonyms", "migrate", "c1", "--out", "file", "--map", "file"],
        ["unseal", "folder", "--out", "folder"],
        ["release", "--results", "folder", "--out", "folder/../folder"],
    ],
    ids=lambda words: words[0],
)
def test_nothing_is_written_over_what_the_command_reads(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("what somebody made")
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "folder").mkdir()
    assert main(command) == 2
    assert "must be another place than what is read" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "what somebody made"


@pytest.mark.parametrize(
    ("command", "is_folder"),
    [
        (["gaps", "release", "--out", "{}"], False),
        (["report", "--release", "release", "--out", "{}"], False),
        (["export-hca", "release", "c1", "--out", "{}"], False),
        (["consent", "export", "--cohort", "c1", "--out", "{}"], False),
        (["estimate", "--refit", ".", "--out", "{}"], False),
        (["map", "x.h5ad", "--release", "release", "--out", "{}"], True),
        (["patient", "c1:d1", "--release", "release", "--out", "{}"], True),
        (["unseal", "package", "--out", "{}"], True),
        (["export", "c1:d1", "--recipient", "k.pub", "--out", "{}"], True),
        (["seal", "--results", "results", "--config", "c.yaml", "--out", "{}"], True),
        (["release", "--results", "results", "--out", "{}"], True),
        (["try", "x.h5ad", "--out", "{}"], True),
        (["validate", "release", "--out", "{}"], True),
        (["release", "add", "c1", "--release", "release", "--out", "{}"], True),
        (["init", "{}"], True),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
@pytest.mark.parametrize(
    "kind", ["other", "below a file", "pipe", "circle", "leads nowhere", "long", "no UTF-8"]
)
def test_a_place_that_cannot_be_written_is_named_before_the_work(
    tmp_path, monkeypatch, capsys, command, is_folder, kind
):
    monkeypatch.chdir(tmp_path)
    target = tmp_path / "target"
    if kind == "other":
        target.write_text("x") if is_folder else target.mkdir()
    elif kind == "below a file":
        target.write_text("x")
        target = target / "below"
    elif kind == "pipe":
        os.mkfifo(target)
    elif kind in ("circle", "leads nowhere"):
        target.symlink_to("target" if kind == "circle" else "nowhere")
    elif kind == "long":
        target = tmp_path / ("x" * 250)
    else:
        target = tmp_path / os.fsdecode(b"\xff")
    # Nothing of what the command reads is there: it did not get so far.
    assert main([word.format(target) for word in command]) == 2
    told = capsys.readouterr().err
    said = "older must" if command[0] == "init" else "out must"
    assert ("in UTF-8" if kind == "no UTF-8" else said) in told.replace("FOLDER", "folder")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ["patient", "c1:d1", "--release", "{}"],
        ["unseal", "{}", "--check"],
        ["seal", "--results", "{}", "--out", "x", "--config", "c.yaml"],
        ["correct", "{}", "--show"],
        ["map", "{}", "--release", "x", "--out", "y"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("kind", ["circle", "long", "zero"])
def test_a_path_that_cannot_be_is_a_wrong_call(tmp_path, capsys, words, kind):
    (tmp_path / "circle").symlink_to("circle")
    paths = {"circle": tmp_path / "circle", "long": tmp_path / ("x" * 300), "zero": "a\0b"}
    assert main([word.format(paths[kind]) for word in words]) == 2
    assert "must be a path" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["map", "x.h5ad", "--release", "r", "--out", ""], "behind --out must not be empty"),
        (["map", "x.h5ad", "--release", "r", "--out="], "behind --out= must not be empty"),
        (["consent", "add", "give", "--expires", ""], "behind --expires must not be empty"),
        (["consent", "show", "--donor", ""], "behind --donor must not be empty"),
        (["gaps", ""], "a word must not be empty"),
        (["consent", "policy", "--policy", os.fsdecode(b"\xff")], "must be in UTF-8"),
    ],
)
def test_a_word_that_a_shell_left_empty_is_no_default(tmp_path, monkeypatch, capsys, words, said):
    """`--out "$WHERE"` would write here, `--expires "$DAY"` would never expire."""
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert re.search(said, capsys.readouterr().err)
    assert list(tmp_path.iterdir()) == []


def test_a_path_in_another_encoding_is_explained():
    with pytest.raises(UnicodeEncodeError) as caught:
        os.fsdecode(b"K\xfcche").encode()
    assert "must be in UTF-8" in (explain(caught.value) or "")


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_named(number):
    assert "locks" in (explain(OSError(number, "words of the system", "a/b")) or "")


def test_a_text_without_end_is_no_term(capsys):
    assert main(["terms", "a" * 100_000]) == 2
    assert "at most 300 letters; got 100,000" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_signs_that_a_terminal_lacks_are_question_marks(monkeypatch, encoding):
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", out)
    cli._print_any_text()
    print(ODD, "│")
    out.flush()
    assert out.buffer.getvalue().decode(encoding).endswith("$(x) ? ?\n")


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_a_path_beyond_ascii_is_itself_without_a_locale(tmp_path, locale):
    """As it is where somebody turned Python's own remedies off, or a batch system sets LC_ALL."""
    ascii_only = {"LC_ALL": locale, "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code = "import sys; print(sys.getfilesystemencoding())"
    told = subprocess.check_output([sys.executable, "-c", code], env={**os.environ, **ascii_only})
    assert told == b"ascii\n"
    ended = subprocess.run(
        [sys.executable, "-m", "pmcell", "verify", ODD],
        env={**os.environ, **ascii_only},
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert ended.returncode == 2
    assert ODD in ended.stderr.decode("utf-8")


@pytest.mark.parametrize(
    ("limit", "is_refused"),
    [
        (700_000 * 1024, True),
        (MIN_ADDRESS_SPACE - 1, True),
        (MIN_ADDRESS_SPACE, False),
        (resource.RLIM_INFINITY, False),
    ],
)
def test_a_step_without_room_for_its_libraries_is_refused_before_they_hang_or_abort(
    monkeypatch, capsys, limit, is_refused
):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (limit, limit))
    assert bool(no_address_space()) == is_refused
    assert main(["qc", "--counts", "absent", "--intake", "absent", "--out-dir", "out"]) != 0
    assert ("must have 800 MB of address space" in capsys.readouterr().err) == is_refused


@pytest.mark.parametrize("words", [["--help"], ["terms", "blood"], ["check", "--help"]])
def test_who_stops_reading_the_output_is_told_no_traceback(words):
    """`pmcell … | head` ends as SIGPIPE would; argparse passes over it without a buffer."""
    read, write = os.pipe()
    os.close(read)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "pmcell", *words],
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(write)
    assert ended.stderr == ""
    assert ended.returncode in ((0, 141) if "--help" in words[1:] else (141,))


@pytest.mark.parametrize(
    "words",
    [
        ["try", "{}"],
        ["register", "{}", "--id", "c1"],
        ["check", "{}"],
        ["map", "{}", "--release", "x", "--out", "y"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s3://bucket/cells.h5ad", "An address is no file: download it"),
        ("~/cells.h5ad", "Leave ~ outside of the quotes"),
        (os.fsdecode(b"K\xfcche.h5ad"), "must have a path in UTF-8"),
        ("C:\\cells.h5ad", "there is no 'C:"),
    ],
)
def test_a_file_that_is_not_there_is_answered_with_what_was_meant(
    tmp_path, monkeypatch, capsys, words, name, said
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("pmcell.release.reference.open_reference", lambda place: None)
    if said.endswith("UTF-8"):
        (tmp_path / name).write_text("x")
    assert main([word.format(name) for word in words]) == 2
    assert said in capsys.readouterr().err


def test_a_place_that_may_not_be_looked_at_is_a_sentence(monkeypatch, capsys):
    def refuse(path, option, **options):
        raise PermissionError(errno.EACCES, "words of the system", str(path))

    monkeypatch.setattr("pmcell.cli._call.require_place", refuse)
    assert main(["demo", "--out", "closed/demo"]) == 1
    assert "closed/demo: the file must be open to you" in capsys.readouterr().err


def test_a_dry_run_names_the_disk_that_keeps_no_records(tmp_path, capsys):
    assert main(["init", str(tmp_path / "study")]) == 0
    (tmp_path / "study" / ".snakemake").write_text("x")
    assert main(["run", "-n", "--directory", str(tmp_path / "study")]) == 1
    assert ".snakemake: a folder must be made there" in capsys.readouterr().err


def test_pmcells_own_check_is_among_the_validators_that_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    assert main(["validate", "results", "--only", "pmcell-verif"]) == 2
    assert "pmcell-verify" in capsys.readouterr().err
    assert main(["validate", "--list"]) == 0
    assert "pmcell-verify" in capsys.readouterr().out
