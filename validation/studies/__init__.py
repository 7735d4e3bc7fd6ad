"""The scripts that produce the tables: one file per table."""
