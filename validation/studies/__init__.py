"""The scripts behind the tables: one file a table."""
