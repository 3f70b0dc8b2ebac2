"""`python -m demo.probe SOURCE HOST PORT`: status 0 if a TCP connection from SOURCE opens."""

import socket
import sys

OPEN_S = 2.0


def main() -> int:
    source, host, port = sys.argv[1:4]
    try:
        socket.create_connection((host, int(port)), OPEN_S, (source, 0)).close()
    except OSError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
