"""Every Python snippet of the documentation runs, those of a page one after the other."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def _snippets(page: Path) -> str:
    """Return the code of a page, on the lines on which it stands there."""
    lines, is_code = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        fence = re.match(r"```(\w*)", line)
        is_code = fence.group(1) == "python" if fence else is_code
        lines.append(line if is_code and not fence else "")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("page", ["README.md", "docs/graphs.md", "docs/language.md"])
def test_snippets_run(page: str, tmp_path: Path) -> None:
    if page == "README.md":
        pytest.importorskip("helion", reason="needs helion-msl[helion]")
    code = _snippets(ROOT / page)
    assert code.strip()
    # A file, because the source of a kernel is read from where it stands.
    script = tmp_path / (Path(page).stem + ".py")
    script.write_text(code, encoding="utf-8")
    runpy.run_path(str(script))
