"""`python -m infra.package [FUNCTION …]`: build `build/<function>.zip` for Lambda; ARCH is x86_64 or arm64.

The exit status is 1 where an artifact cannot be built, or is larger than `budget.json` lets it be: megabytes zipped;
`default` is for functions without a line of their own, and what Lambda takes at most.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from infra.package.artifact import Artifact
from infra.package.build import all_functions, artifacts
from infra.package.cache import BUILD
from infra.package.sizes import Size, problems, size_of, table
from infra.package.target import PackagingError, Target


def main(functions: list[str]) -> int:
    """Build the named functions, or all, and print their sizes."""
    unknown = set(functions) - set(all_functions())
    if unknown:
        return _complain(f"No function {', '.join(sorted(unknown))}; there are {', '.join(all_functions())}.")
    try:
        target = Target.deployed()
        print(f"Artifacts for Python {target.python} on {target.architecture}, in {BUILD.name}/:")
        found = artifacts(target, functions or None)
    except PackagingError as error:
        return _complain(str(error))
    with ProcessPoolExecutor() as pool:
        sizes = list(pool.map(_zipped, found))
    print(table(sizes))
    wrong = problems(sizes)
    return _complain("\n".join(wrong)) if wrong else 0


def archive_of(function: str) -> Path:
    """Return where a function's artifact lies, for `serverless.yml` to find."""
    return BUILD / f"{function}.zip"


def _zipped(artifact: Artifact) -> Size:
    archive = archive_of(artifact.function)
    artifact.zip(archive)
    return size_of(artifact, archive)


def _complain(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
