"""What every request passes through: names, access log, security headers, sessions and problems."""
