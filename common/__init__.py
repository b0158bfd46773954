"""The common: the durable, ordered record of accepted trades, and what both processes agree on about it.

Holds the event and its codec, the journal, the transport, the settings, the logs and the errors.
Imports neither ``webapp`` nor ``sidecar``, Flask or prometheus_client: the arrows point here, never out.
"""

__version__ = "0.1.0"
