#!/usr/bin/env python3
"""Runs one test of a Meson build folder, with its own output and exit status.

  meson_test.py BUILD NAME
"""
import json
import os
import subprocess
import sys

build, name = sys.argv[1:]
tests = json.loads(subprocess.run(["meson", "introspect", build, "--tests"],
                                  stdout=subprocess.PIPE, check=True).stdout)
test = next(t for t in tests if t["name"] == name)
try:
    done = subprocess.run(test["cmd"], env=os.environ | test["env"],
                          timeout=test["timeout"])
except subprocess.TimeoutExpired:
    sys.exit(f"not ok - {name} ran for more than {test['timeout']} s")
sys.exit(done.returncode)
