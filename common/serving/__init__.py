"""The HTTP of the processes that are no web process: a server, its limits, health checks, threads and locks."""
