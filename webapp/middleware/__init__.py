"""Middleware: hosts, access log, security headers, CORS, sessions and problems."""
