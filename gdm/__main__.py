"""`python -m gdm`: the command line without an installed script."""

import sys

from gdm.cli import main

sys.exit(main())
