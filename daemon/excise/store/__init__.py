"""What survives a restart: decisions, the decision stream, cursors, and the engine's snapshot."""
