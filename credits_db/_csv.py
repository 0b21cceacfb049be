"""Files of comma-separated values, as people export them: with or without a byte order mark, quoted or not."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

UNEVEN = "it has not as many columns as the first line names"


def read_csv(
    file: Path, columns: Sequence[str], required: Sequence[Sequence[str]]
) -> list[tuple[int, dict[str, str] | None]]:
    """The lines of a file with their numbers; None for a line that has not as many columns as the first one names.

    `required` names what must be there: one column of each. Raises Refusal, with the line, for a first line that does
    not name columns, and for what is no CSV.
    """
    from credits_db.migrations import Refusal

    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, strict=True)
        try:
            header = reader.fieldnames or []
            if wrong := [name for name in header if name not in columns or header.count(name) > 1]:
                raise csv.Error(f"{wrong[0]!r} is no column, or there twice; columns are {', '.join(columns)}")
            if missing := [" or ".join(names) for names in required if not set(names) & set(header)]:
                raise csv.Error(f"the column {missing[0]} is missing")
            found: list[tuple[int, dict[str, str] | None]] = []
            for row in reader:
                uneven = None in row or None in row.values()
                if not uneven and any("\0" in value for value in row.values()):
                    raise csv.Error("there is a byte 0 in it, which is no text")
                found.append((reader.line_num, None if uneven else row))
        except csv.Error as error:
            raise Refusal(f"{file} line {max(reader.line_num, 1)}: {error}.") from error
    return found
