"""`python3 -m tools.lab`: the lab's command line, see tools/lab/cli.py."""
import sys

from tools.lab.cli import main

sys.exit(main())
