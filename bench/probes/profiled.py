"""Profiles a function of another script here: ``profiled.py OUTPUT SCRIPT FUNCTION ARGUMENT…``."""

import cProfile
import importlib
import sys
import time
from pathlib import Path

if __name__ == "__main__":
    output, script, name, *arguments = sys.argv[1:]
    # Imported before, so that only its work is seen, and by processor time, so that waiting is not.
    function = getattr(importlib.import_module(script), name)
    profile = cProfile.Profile(time.process_time)
    profile.runcall(function, *[int(each) if each.isdigit() else Path(each) for each in arguments])
    profile.dump_stats(output)
    sys.stdout.write("{}")
