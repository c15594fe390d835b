"""The engine from a shell: `python -m engine sweep --help`."""

import sys

from engine.sweeps.shell import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
