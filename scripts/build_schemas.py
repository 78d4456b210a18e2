# ruff: noqa: INP001 - a program to run, not a package to import
"""Write egressd/schemas/: the JSON schemas of the site file and of rule files, for editors.

Run it after every change of a form: python scripts/build_schemas.py
"""

from __future__ import annotations

import json
from pathlib import Path

from egressd.attribute.ruleform import rules_schema
from egressd.siteform import site_schema

FOLDER = Path(__file__).resolve().parents[1] / "egressd" / "schemas"


def schemas() -> dict[str, str]:
    """Return the text of every schema file."""
    return {
        name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in (
            ("site.schema.json", site_schema()),
            ("rules.schema.json", rules_schema()),
        )
    }


def main() -> None:
    """Write the files."""
    for name, text in schemas().items():
        (FOLDER / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
