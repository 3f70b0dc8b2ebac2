"""Where lines come from. Shell: files, pipes, clocks."""
