"""From evidence to decisions, and from decisions to the change the kernel needs. Pure."""
