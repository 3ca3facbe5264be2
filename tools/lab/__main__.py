"""`python3 -m tools.lab`: the lab's command line, see tools/lab/cli.py."""
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # until main() takes it there is nothing to undo, and nothing to say

from tools.lab.cli import main  # noqa: E402

sys.exit(main())
