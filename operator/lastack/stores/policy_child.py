"""The short-lived process that parses and validates policies; started by policy_files, never imported by others.

Standard input: a pickled mapping of file name to content. Standard output: pickled policies and
problems, two tuples.
"""

import pickle
import sys

from lastack.policy import loading


def main() -> None:
    """Answer one request."""
    files = pickle.loads(sys.stdin.buffer.read())  # noqa: S301 - written by our own parent, over our own pipe
    loaded = loading.load(files)
    sys.stdout.buffer.write(pickle.dumps((loaded.policies, loaded.problems)))


if __name__ == "__main__":
    main()
