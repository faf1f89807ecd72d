"""The mistakes of ``make wall-run-mistakes`` fit into the engine as it is, and the documentation lists them."""

from __future__ import annotations

import ast
import importlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
try:
    MISTAKES = importlib.import_module("planted_mistakes").MISTAKES
finally:
    sys.path.pop(0)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_has_its_place_and_its_tests(mistake):
    assert (ROOT / "src" / mistake.file).read_text(encoding="utf-8").count(mistake.right) == 1
    assert mistake.wrong != mistake.right
    re.compile(mistake.report)
    assert mistake.tests
    for test in mistake.tests:
        file, name = test.split("::")
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_page_lists_every_mistake():
    page = (ROOT / "docs/wall_run.md").read_text(encoding="utf-8")
    listed = {row[0].strip() for row in re.findall(r"^\| ([^|]+) \|([^|]+)\|$", page, re.MULTILINE)}
    assert [mistake.name for mistake in MISTAKES if mistake.name not in listed] == []
