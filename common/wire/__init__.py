"""The ZeroMQ messages and the transport that carries them (docs/wire.md)."""
