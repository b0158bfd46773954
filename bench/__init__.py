"""Measurements, each beside a peer or a limit in the same run: a ratio says more than a number of this machine."""
