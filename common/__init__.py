"""What all processes share: the event, the journal, the messages and their transport, settings, logs and errors.

Imports neither ``webapp`` nor ``sidecar``, Flask or prometheus_client: dependencies point here, never out.
"""

__version__ = "0.1.0"
