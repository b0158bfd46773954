"""The journal: accepted trades in a SQLite file. All SQL of the product is in this package."""
