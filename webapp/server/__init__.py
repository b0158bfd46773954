"""The gunicorn worker: limits, deadlines and malformed requests."""
