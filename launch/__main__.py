"""`python -m launch VERB [flags] [-- trainer arguments]`."""

import sys

from launch.cli.main import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
