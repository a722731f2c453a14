"""Process settings are probed, and add to what the user has set."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jsac_ros import xla_settings
from jsac_ros.__main__ import updates_here


def test_flag_that_xla_does_not_know_is_found_out():
    assert not xla_settings.accepted("--xla_there_is_no_such_flag=1")
    assert xla_settings.accepted("--xla_cpu_enable_fast_math=false")


def test_learner_computes_with_its_settings(monkeypatch):
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    environment = os.environ | xla_settings.learner_environment() | {"JAX_PLATFORMS": "cpu"}
    program = "import jax, jax.numpy as n; print(jax.jit(lambda x: x @ x)(n.ones((64, 64)))[0, 0])"
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=100)
    assert run.stdout.strip() == "64.0", run.stderr


def test_what_the_user_has_set_stays_in_front(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_cpu_enable_fast_math=false")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=2")
    environment = xla_settings.learner_environment()
    first, *rest = environment["GLIBC_TUNABLES"].split(":")
    assert first == "glibc.malloc.hugetlb=2" and rest and not any("hugetlb" in setting for setting in rest)
    if "XLA_FLAGS" not in environment:
        pytest.skip("this XLA does not know the experimental flag")
    assert environment["XLA_FLAGS"].split()[0] == "--xla_cpu_enable_fast_math=false"
    assert len(environment["XLA_FLAGS"].split()) == 2


def test_command_begins_again_with_the_settings_once(monkeypatch):
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    program = (
        "import os, sys; from jsac_ros import xla_settings; print('begun', flush=True);"
        "xla_settings.restart_with_them(); print(os.environ['GLIBC_TUNABLES'], *sys.argv[1:])"
    )
    command = [sys.executable, "-c", program, "a word"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=100)
    *begun, said = run.stdout.splitlines()
    assert begun == ["begun"] * 2
    assert said.endswith(" a word") and said.count(xla_settings.HUGE_PAGES) == 1


@pytest.mark.parametrize(
    ("words", "here"),
    [
        ("train Reacher-v5 train.observe=[render]", True),
        ("train Reacher-v5 --resume runs/reacher", True),
        ("learn bag", True),
        ("train Pendulum-v1", False),  # small products gain nothing
        ("train Reacher-v5 train.observe=[render] --asynchronous", False),  # its learner is another process
        ("bench prefetch", True),
        ("run config.yaml", False),
    ],
)
def test_a_command_that_learns_from_images_itself_begins_with_the_settings(words, here):
    verb, *rest = words.split()
    assert updates_here(verb, rest) == here


FAULTS = """
import resource, threading
import numpy as np
def again():
    np.ones(32 << 20)  # 256 MB, taken and given back
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(32 << 20)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=again)  # as XLA's own, which would have an arena each
thread.start()
thread.join()
"""


def test_learner_keeps_the_memory_it_has_had(monkeypatch):
    def faults(environment):
        run = subprocess.run([sys.executable, "-c", FAULTS], env=environment, capture_output=True, text=True, timeout=100)
        return int(run.stdout)

    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    assert faults(os.environ | xla_settings.learner_environment()) < 20
    assert faults(dict(os.environ)) > 100  # else this test could not fail
