"""The sidecar: accepted trades in, metrics out. Imports ``common``, never ``webapp`` or Flask."""
