"""The arrows between the folders, and the engine's isolation from the world."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ENGINE = sorted((ROOT / "emulator" / "engine").rglob("*.py"))
OUTSIDE = {
    "asyncio",
    "datetime",
    "io",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "socket",
    "threading",
    "time",
    "uuid",
}
"""Modules that read clocks, draw numbers, wait, or reach outside the process."""


def test_imports_follow_the_arrows_between_the_folders():
    lint_imports = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.name)
def test_engine_reads_no_clock_draws_no_number_and_reaches_nothing_outside(path):
    tree = ast.parse(path.read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not {name.partition(".")[0] for name in imported} & OUTSIDE
    assert not called & {"open", "print", "input", "__import__", "eval", "exec"}


@pytest.mark.parametrize("path", ENGINE, ids=lambda path: path.name)
def test_engine_computes_in_integers_and_exact_fractions_only(path):
    nodes = list(ast.walk(ast.parse(path.read_text())))
    floats = [n.lineno for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, float)]
    floats += [n.lineno for n in nodes if isinstance(n, ast.Name) and n.id == "float"]
    if path.name not in ("valuation.py", "margin.py", "margin_rules.py"):  # they divide Fractions
        floats += [n.lineno for n in nodes if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div)]
    assert not floats
