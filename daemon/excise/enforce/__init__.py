"""Where decisions meet the kernel: backends behind one protocol."""
