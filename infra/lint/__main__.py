"""Check the pages' own scripts and styles: types with TypeScript's checker in deno, style with biome.

Run by ``make lint``; another folder than ``static`` may be given. Vendored files are not checked.
"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ROOT: Final = HERE.parent.parent
PROGRAMS: Final = Path(sys.executable).parent


def find(folder: Path, suffix: str) -> list[Path]:
    """Find our own files below a folder."""
    return sorted(each for each in folder.rglob(f"*{suffix}") if "vendor" not in each.relative_to(folder).parts)


def main(folder: Path) -> int:
    """Run both programs, which print what they find, and return 0 when both found nothing."""
    scripts, styles = find(folder, ".js"), find(folder, ".css")
    # Only what is in the lock file is run, and nothing is downloaded.
    environ = os.environ | {"DENO_NO_UPDATE_CHECK": "1", "DENO_DIR": str(ROOT / ".venv" / "deno")}
    deno = [str(PROGRAMS / "deno"), "check", "--quiet", "--no-remote", "--no-npm", f"--config={HERE / 'deno.json'}"]
    biome = [str(PROGRAMS / "biome"), "lint", "--error-on-warnings"]
    types = subprocess.call([*deno, *scripts], env=environ)
    return max(types, subprocess.call([*biome, *scripts, *styles]))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "static"))
