"""The routes, one blueprint in each module."""
