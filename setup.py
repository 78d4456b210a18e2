"""Compile the modules that touch every frame; everything else stands in pyproject.toml.

They are plain Python files in Cython's pure-Python mode. Bounds checks stay on:
the input is hostile.
"""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

COMPILED = [
    *(path for path in Path("egressd/dataplane").glob("*.py") if path.name != "__init__.py"),
    Path("egressd/capture/blocks.py"),
    Path("egressd/capture/records.py"),
    Path("egressd/decode/dns.py"),
    Path("egressd/decode/glance.py"),
    Path("egressd/past.py"),
]

setup(
    ext_modules=cythonize(
        [
            Extension(".".join(path.with_suffix("").parts), [str(path)], extra_compile_args=["-O3"])
            for path in sorted(COMPILED)
        ],
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": True,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
        show_all_warnings=False,
    )
)
