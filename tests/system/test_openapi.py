"""Schemathesis sends requests made from the description, good and bad, to a real stack that is locked."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.credentials import HOOK, READ, WRITE
from tests.conftest import ROOT
from tests.system.stack import Stack
from tests.system.test_access import add

CASES = 500
COMMAND = [str(Path(sys.executable).with_name("schemathesis")), "run", "--seed", "16", "--max-examples", "5"]
HOOKS = "tests.system.schemathesis_hooks"
REQUESTS = "webapp_http_requests_total"


# It takes half a minute; many other tests may run beside it.
@pytest.mark.timeout(900)
def test_generated_requests_get_described_answers_and_no_5xx(shared: Stack) -> None:
    shared.accept(3)
    header = "Authorization: " + add(shared, "schemathesis", READ, WRITE)["Authorization"]
    command = [*COMMAND, "--phases", "examples,coverage,fuzzing", "--checks", "all", "--header", header]
    # JSON Schema cannot say which characters print; and the feed does not end.
    command += ["--exclude-checks", "positive_data_acceptance", "--exclude-path", "/feed"]
    hook_token = add(shared, "hook", HOOK)["Authorization"].removeprefix("Bearer ")
    environ = os.environ | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": HOOKS, "HOOK_TOKEN": hook_token}
    run = subprocess.run(
        [*command, f"{shared.web_url}/openapi.json"],
        cwd=shared.folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    (generated, passed) = re.findall(r"(\d+) generated, (\d+) passed", run.stdout)[0]
    assert int(generated) == int(passed) >= CASES
    requests = {labels: value for (name, labels), value in shared.samples().items() if name == REQUESTS}
    assert [labels for labels, value in requests.items() if value and dict(labels)["status"] >= "500"] == []
