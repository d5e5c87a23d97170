"""``python -m hipoa STAGE ...``."""

import sys

from hipoa.cli import main

sys.exit(main(sys.argv[1:]))
