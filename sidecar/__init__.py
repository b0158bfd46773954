"""The sidecar: accepted trades in, metrics out. It imports ``common``, never ``webapp`` or Flask."""
