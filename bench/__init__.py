"""Benchmarks, each with a peer or a limit in the same run: ratios depend less on the machine than absolute numbers."""
