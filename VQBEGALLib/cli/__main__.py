"""``python -m VQBEGALLib.cli`` is the same as ``vqbegal``."""

import sys

from VQBEGALLib.cli import main

sys.exit(main())
