import json
import re
import subprocess
import sys

from tests.conftest import ROOT

# All that both processes load, without the tools of tests: who deploys installs requirements.txt alone.
LOADED = """
import importlib.metadata, json, sys
import webapp, webapp.server.worker, sidecar.daemon, honcho.command
distributions = importlib.metadata.packages_distributions()
modules = {name.split(".")[0] for name in sys.modules}
print(json.dumps([sorted({each for name in modules for each in distributions.get(name, ())}), sorted(modules)]))
"""


def normalise(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def list_loaded() -> tuple[set[str], set[str]]:
    """List the distributions, and the packages, that the processes load."""
    command = [sys.executable, "-c", LOADED]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    distributions, packages = json.loads(loaded)
    return {normalise(name) for name in distributions}, set(packages)


def test_the_runtime_lock_has_all_that_the_processes_load() -> None:
    loaded, packages = list_loaded()
    locked = re.findall(r"^([\w.-]+)(?:\[\w+\])?==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    # These are loaded only where they are found.
    assert loaded - {normalise(name) for name in locked} <= {"setuptools", "typing-extensions"}
    assert {"gunicorn", "flask", "pyzmq", "honcho"} <= loaded
    # No process of these has an asyncio loop, and it takes 1.6 MB of each.
    assert "asyncio" not in packages
