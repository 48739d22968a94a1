#!/usr/bin/env python3
"""Runs a program in a terminal of its own and prints what would be left on its screen, line by line.

wscat shows a reader `< ` and `> ` in a terminal only, and says nothing of a connection without one. Lines of standard
input are typed into it, each followed by Enter.
"""

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios

COLUMNS = 4096
ERASED = re.compile(rb".*\x1b\[2K")
ESCAPE = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]")


def shown(line: bytes) -> bytes:
    """What is left of a line after its erasures, without colours."""
    return ESCAPE.sub(b"", ERASED.sub(b"", line)).replace(b"\r", b"")


def main(command: list[str]) -> int:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    waiting = b""
    sources = [terminal, sys.stdin.fileno()]
    while True:
        ready, _, _ = select.select(sources, [], [])
        if sys.stdin.fileno() in ready:
            typed = os.read(sys.stdin.fileno(), 65536)
            if not typed:
                return 0
            os.write(terminal, typed.replace(b"\n", b"\r"))
        if terminal in ready:
            try:
                came = os.read(terminal, 65536)
            except OSError:
                came = b""
            if not came:
                return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            *lines, waiting = (waiting + came).split(b"\n")
            for line in lines:
                sys.stdout.buffer.write(shown(line) + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
