"""Files are written whole or not at all, and nothing that is read can run code."""

from __future__ import annotations

import ast

import pytest

from repository import SOURCE, modules

WRITERS = {"to_csv", "to_parquet", "to_json", "to_hdf", "to_excel", "tofile", "write_bytes"}
WRITERS |= {"write_h5ad", "write_zarr", "write_text", "savefig", "savetxt", "save", "savez"}
WRITERS |= {"savez_compressed", "copyfile", "copy2", "copytree", "move"}
# Functions named like a writer that are pmcell's own atomic ones.
ATOMIC_WRITERS = {"write_text", "write_json"}
RUNS_CODE = {"eval", "exec", "__import__"}
# What is written here is not a file that others read before it is whole.
PASSING = ("temporary", "buffer", "stream")
EXCEPTIONS = {
    "io/atomic.py": "the one way in which files are written",
    "io/submitted/sandbox.py": "a scratch folder between a process and its child",
    "cli/run/_workflow.py": "a log is read while it grows",
    **dict.fromkeys(
        (
            f"consent/removal/{name}.py"
            for name in (
                *("canary", "canaries_bytes", "canaries_tables", "canaries_cells"),
                *("canaries_genes", "canaries_parts"),
            )
        ),
        "files that are scanned and thrown away",
    ),
    "io/crypt/chain.py": "records are appended, and written ahead",
}


def find_unsafe(tree: ast.AST) -> list[str]:
    """Calls that write a file outside `atomic_path`, or that could run what they read."""
    found: list[str] = []
    _Visitor(found).visit(tree)
    return found


class _Visitor(ast.NodeVisitor):
    def __init__(self, found: list[str]) -> None:
        self.found = found
        self.depth = 0

    def visit_With(self, node: ast.With) -> None:
        atomic = any("atomic" in ast.unparse(item.context_expr) for item in node.items)
        self.depth += atomic
        self.generic_visit(node)
        self.depth -= atomic

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func)
        text = f"line {node.lineno}: {ast.unparse(node)[:80]}"
        is_method = isinstance(node.func, ast.Attribute)
        keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
        if not self.depth and self._writes(node, name, is_method, keywords):
            self.found.append(f"{text} (write inside `with atomic_path(target) as temporary`)")
        if (not is_method and name in RUNS_CODE) or ast.unparse(node.func) == "yaml.load":
            self.found.append(f"{text} (runs what it reads)")
        if keywords.get("shell") == "True" or keywords.get("allow_pickle") == "True":
            self.found.append(f"{text} (runs what it reads)")

    @staticmethod
    def _writes(node: ast.Call, name: str, is_method: bool, keywords: dict[str, str]) -> bool:
        owner = ast.unparse(node.func.value) if isinstance(node.func, ast.Attribute) else ""
        target = f"{owner} {ast.unparse(node.args[0]) if node.args else ''}"
        # A path of that name is the one that the caller's atomic_path gave.
        if any(word in target for word in PASSING):
            return False
        if is_method and name in WRITERS:
            return not (name in ATOMIC_WRITERS and owner.endswith("atomic"))
        if name not in ("open", "File", "ZipFile", "fdopen"):
            return False
        # `open(path, mode)` but `path.open(mode)`.
        position = 0 if is_method and name == "open" else 1
        mode = node.args[position] if len(node.args) > position else None
        text = keywords.get("mode", ast.unparse(mode) if mode else "'r'")
        return any(letter in text for letter in "wax+") and text.startswith(("'", '"'))

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name.split(".")[0] in ("pickle", "shelve", "marshal", "dill"):
                self.found.append(f"line {node.lineno}: import {alias.name} (runs what it reads)")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if (node.module or "").split(".")[0] in ("pickle", "shelve", "marshal", "dill"):
            self.found.append(f"line {node.lineno}: from {node.module} (runs what it reads)")


def test_package_writes_only_atomically_and_runs_nothing_it_reads() -> None:
    faults = {}
    for path, tree in modules():
        name = path.relative_to(SOURCE).as_posix()
        if name not in EXCEPTIONS and (found := find_unsafe(tree)):
            faults[name] = found
    assert not faults, "\n".join(
        f"{name}: {line}" for name, lines in faults.items() for line in lines
    )


@pytest.mark.parametrize(
    "code",
    [
        "open(path, 'w')",
        "path.open('ab')",
        "h5py.File(path, 'w')",
        "frame.to_csv(path)",
        "path.write_text('x')",
        "np.savez_compressed(path, x=x)",
        "np.load(path, allow_pickle=True)",
        "yaml.load(text)",
        "subprocess.run(line, shell=True)",
        "eval(text)",
        "import pickle",
    ],
)
def test_gate_finds_the_unsafe_call(code: str) -> None:
    assert find_unsafe(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        "open(path)",
        "path.open('rb')",
        "h5py.File(path, 'r')",
        "atomic.write_text(path, 'x')",
        "with atomic_path(target) as temporary:\n    frame.to_csv(temporary)",
        "def _write(temporary, frame):\n    frame.to_csv(temporary)",
        "yaml.safe_load(text)",
    ],
)
def test_gate_lets_the_safe_call_pass(code: str) -> None:
    assert not find_unsafe(ast.parse(code))
