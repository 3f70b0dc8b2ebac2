"""Log formats: lines of bytes in, records and rejects out. Pure; one file per format."""
