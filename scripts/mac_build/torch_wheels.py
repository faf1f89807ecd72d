"""torch's wheels for arm64 macOS, downloaded once into ``build/`` and read for what they export and import."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from mac_build import macho

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / "build" / "mac" / "torch"
PLATFORMS = ["macosx_11_0_arm64", "macosx_14_0_arm64"]
SELECTION = ["--only-binary=:all:", "--python-version", "3.12"]
SELECTION += [argument for platform in PLATFORMS for argument in ("--platform", platform)]
OLDEST = "2.10.0"
# The version that the project's own tests run with.
TESTED = "2.13.0"


def pip(*arguments: str) -> str:
    """Run pip without the machine's constraints, which are about what is installed here, and return its output."""
    result = subprocess.run(
        [sys.executable, "-m", "pip", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PIP_CONSTRAINT": os.devnull},
    )
    if result.returncode != 0:
        raise SystemExit(f"wall-link: pip {' '.join(arguments)} failed:\n{result.stderr}")
    return result.stdout


def newest_version() -> str:
    """The newest torch that has a wheel for arm64 macOS."""
    listing = pip("index", "versions", "torch", *SELECTION)
    match = re.search(r"Available versions: ([^,\s]+)", listing)
    if match is None:
        raise SystemExit(f"wall-link: pip names no version of torch:\n{listing}")
    return match[1]


def fetch_wheel(version: str) -> Path:
    """Download the wheel of ``version``, about 100 MB, unless it is there."""
    directory = CACHE / version
    wheels = list(directory.glob("*.whl"))
    if not wheels:
        directory.mkdir(parents=True, exist_ok=True)
        pip("download", "--quiet", "--no-deps", *SELECTION, "--dest", str(directory), f"torch=={version}")
        wheels = list(directory.glob("*.whl"))
    return wheels[0]


class TorchWheel:
    """What one version's libraries export, and what they import from macOS.

    Attributes:
        version: of torch.
        exports: the symbols of ``libtorch_cpu.dylib`` that the extension may look up.
        system_imports: for every library of macOS, the symbols that torch's libraries take from it.
        selectors: the names of the messages that ``libtorch_cpu.dylib`` sends.
    """

    def __init__(self, version: str) -> None:
        self.version = version
        summary = CACHE / version / "symbols.json"
        if not summary.exists():
            content = self._read(fetch_wheel(version))
            summary.write_text(json.dumps(content), encoding="utf-8")
        content = json.loads(summary.read_text(encoding="utf-8"))
        self.exports: frozenset[str] = frozenset(content["exports"])
        self.system_imports: dict[str, frozenset[str]] = {
            library: frozenset(symbols) for library, symbols in content["imports"].items()
        }
        self.selectors: frozenset[str] = frozenset(content["selectors"])

    @staticmethod
    def _read(wheel: Path) -> dict[str, object]:
        exports: list[str] = []
        selectors: list[str] = []
        imports: dict[str, set[str]] = {}
        with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as directory:
            for name in archive.namelist():
                if not re.fullmatch(r"torch/lib/lib(torch_cpu|torch_python|c10|shm)\.dylib", name):
                    continue
                image = macho.read_image(Path(archive.extract(name, directory)))
                if name.endswith("libtorch_cpu.dylib"):
                    # Those of the MPS backend and of the stable C interface alone: there are hundreds of thousands.
                    wanted = re.compile("3mps|aoti_torch_")
                    exports = sorted(symbol for symbol in image.exports if wanted.search(symbol))
                    selectors = sorted(image.selectors)
                for symbol, library in image.imports.items():
                    if library is not None and library.startswith("/"):
                        imports.setdefault(library, set()).add(symbol)
        return {
            "exports": exports,
            "imports": {library: sorted(symbols) for library, symbols in imports.items()},
            "selectors": selectors,
        }
