"""`python -m examples.draw [FOLDER]` makes the example documents again."""

import argparse
from pathlib import Path

from examples.draw import write

parser = argparse.ArgumentParser(prog="python -m examples.draw", description="Draw the example documents.")
parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).parents[1])
write(parser.parse_args().folder)
