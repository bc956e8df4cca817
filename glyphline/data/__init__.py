"""Data sets: their records, their files fetched and read, their images divided and prepared."""
