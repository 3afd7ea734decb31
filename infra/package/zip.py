"""Packs one file for Lambda: `zip.py FILE ZIP [NAME]`, by name `bootstrap`.

The archive depends on the file's bytes alone: one entry, a fixed time and mode,
and no compression, whose output differs between versions of zlib. Lambda unpacks it
once, when it is uploaded.
"""

import pathlib
import sys
import zipfile

EARLIEST = (1980, 1, 1, 0, 0, 0)
EXECUTABLE = 0o100755
UNIX = 3


def main(file: str, archive: str, name: str = "bootstrap") -> None:
    """Writes the archive beside its place first, so that nobody reads half of it."""
    entry = zipfile.ZipInfo(name, EARLIEST)
    entry.create_system = UNIX
    entry.external_attr = EXECUTABLE << 16
    unfinished = pathlib.Path(archive + ".new")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_STORED) as packed:
        packed.writestr(entry, pathlib.Path(file).read_bytes())
    unfinished.replace(archive)


if __name__ == "__main__":
    main(*sys.argv[1:])
