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
print(json.dumps(sorted({each for name in modules for each in distributions.get(name, ())})))
"""


def normalise(name: str) -> str:
    return re.sub("[-_.]+", "-", name).lower()


def test_the_runtime_lock_has_all_that_the_processes_load() -> None:
    command = [sys.executable, "-c", LOADED]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    locked = re.findall(r"^([\w.-]+)(?:\[\w+\])?==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    missing = {normalise(name) for name in json.loads(loaded)} - {normalise(name) for name in locked}
    # These are loaded only where they are found.
    assert missing <= {"setuptools", "typing-extensions"}
    assert {"gunicorn", "flask", "pyzmq", "honcho"} <= {normalise(name) for name in json.loads(loaded)}
