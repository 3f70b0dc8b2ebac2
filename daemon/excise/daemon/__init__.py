"""The running daemon: one event loop that owns the engine, and the loops around it."""
