"""The sidecar: accepted trades in, metrics out. Imports ``tape``, never ``webapp`` or Flask."""
