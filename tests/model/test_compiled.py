"""Machine code is kept where it can be, and never answers for sources that have changed since."""

import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np

from seqclv.model import compiled as compiling
from seqclv.model.compiled import compiled, summing


def test_where_no_cache_can_be_written_functions_are_compiled_without_one(monkeypatch):
    compiled(lambda x: x)(1)  # at the first call numba imports parts of itself that ask for njit too
    asked, real = [], numba.njit

    def njit(*, cache, **options):
        asked.append(cache)
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    double = compiled(lambda x: 2 * x)
    assert double(3) == 6
    assert asked == [True, False]


def test_sums_come_out_alike_in_any_order():
    def total(values):
        result = 0.0
        for value in values:
            result += value
        return result

    values = 0.1 * np.arange(100)
    assert abs(summing(total)(values) - compiled(total)(values)) < 1e-9


def test_machine_code_of_a_changed_source_is_forgotten(tmp_path):
    """`outer` calls `inner` of another file: when that changes, the machine code of `outer` is compiled anew."""
    inner, outer = tmp_path / "inner.py", tmp_path / "outer.py"
    text = Path(compiling.__file__).read_text()
    (tmp_path / "compiled.py").write_text(text)
    inner.write_text("from compiled import compiled\n\n@compiled\ndef inner(x):\n    return x + 1\n")
    outer.write_text(
        "from compiled import compiled\nfrom inner import inner\n\n@compiled\ndef outer(x):\n    return inner(x)\n"
    )
    call = [sys.executable, "-c", "from outer import outer; print(outer(1))"]

    def answer():
        return subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.strip()

    assert answer() == "2"
    assert list((tmp_path / "__pycache__").glob("outer.outer-*.nbi"))
    inner.write_text(inner.read_text().replace("x + 1", "x + 10"))
    later = max(path.stat().st_mtime for path in (tmp_path / "__pycache__").iterdir()) + 1
    os.utime(inner, (later, later))
    assert answer() == "11"
