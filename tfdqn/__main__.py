"""`python -m tfdqn`: the command line."""

import sys

from tfdqn.cli import main

sys.exit(main())
