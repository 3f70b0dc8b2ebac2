"""The control API: HTTP on a unix socket, and on loopback where configured (contract 5)."""
