"""Builds requantize.sv with Icarus and runs test_requantize.py on golden vectors.

    python run.py GOLDEN WORK
"""

import os
import sys
from pathlib import Path

from cocotb_tools.runner import get_runner

here = Path(__file__).resolve().parent
design = here.parent / "design"
golden, work = (Path(argument).resolve() for argument in sys.argv[1:3])
# The simulator's Python sees the modules of this one.
os.environ["PYTHONPATH"] = os.pathsep.join([str(here), *filter(None, sys.path)])
runner = get_runner("icarus")
runner.build(
    sources=[design / name for name in ("codes_pkg.sv", "round_up.sv", "fit.sv", "requantize.sv")],
    includes=[design],
    hdl_toplevel="requantize",
    build_dir=work / "sim_build",
    parameters={"IN_BITS": 32, "OUT_BITS": 8},
    build_args=["-g2012"],
)
results = runner.test(
    hdl_toplevel="requantize",
    test_module="test_requantize",
    build_dir=work / "sim_build",
    test_dir=work,
    extra_env={"GOLDEN": str(golden)},
)
from cocotb_tools.runner import get_results

tests, failed = get_results(results)
sys.exit(0 if tests and not failed else 1)
