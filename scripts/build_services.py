# ruff: noqa: INP001 - a program to run, not a package to import
"""Compile rules/ into egressd/data/services.json, which a run reads instead of 130 YAML files.

Run it after every change of a rule: python scripts/build_services.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from egressd.attribute.rulefile import load_rules, rules_folder
from egressd.model import RuleError

TARGET = Path(__file__).resolve().parents[1] / "egressd" / "data" / "services.json"


def compiled() -> str:
    """Return the text of services.json: one rule file a line, so that a diff shows which."""
    lines = [
        json.dumps(
            {"file": rule.shown, "kind": rule.kind, "lines": rule.lines, "value": rule.value},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        for rule in load_rules([rules_folder()])
    ]
    return "[\n" + ",\n".join(lines) + "\n]\n"


def main() -> int:
    """Write services.json; 2 where a rule is broken."""
    if not TARGET.exists():
        TARGET.write_text("[]\n", "utf-8")  # the checks of the rules read what was shipped before
    try:
        TARGET.write_text(compiled(), "utf-8")
    except RuleError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
