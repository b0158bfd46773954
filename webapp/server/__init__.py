"""The gunicorn worker: connections, deadlines, and what is not HTTP."""
