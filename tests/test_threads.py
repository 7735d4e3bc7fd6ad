"""Threads: one for small work, the caller's for large work, and the caller's number afterwards."""

import numpy as np
import pytest
import torch

from repnet_pde import fit, limits, load_problem, set_precision, solve, threads


@pytest.fixture
def two():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_one_thread_unless_the_work_is_large(two):
    assert torch.get_num_threads() == 2
    with threads.large(10**9):
        assert torch.get_num_threads() == 2
    with limits.running(None):
        assert torch.get_num_threads() == 1
        with threads.large(threads.LARGE - 1):
            assert torch.get_num_threads() == 1
        with threads.large(threads.LARGE), threads.large(threads.LARGE):
            assert torch.get_num_threads() == 2
        with threads.few():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_the_linear_algebra_of_numpy_follows(two):
    from threadpoolctl import threadpool_info

    def used():
        return {found["num_threads"] for found in threadpool_info() if found["user_api"] == "blas"}

    before = used()
    with threads.few():
        assert used() == {1}
        with threads.large(threads.LARGE):
            assert used() == {2}
        assert used() == {1}
    assert used() == before


def test_no_more_than_the_caller_allows():
    with threads.few(), threads.large(10**9):
        assert torch.get_num_threads() == 1


def test_a_small_problem_has_the_same_bits(two):
    first = solve(load_problem("poisson_two_scale_1d"), progress=False)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    second = solve(load_problem("poisson_two_scale_1d"), progress=False)
    x = np.linspace(0, 1, 50)[:, None]
    assert (first.predict(x) == second.predict(x)).all()


def test_nothing_global_is_left_changed(tmp_path):
    """The caller's default precision and random numbers."""
    problem = load_problem("poisson_two_scale_1d")
    set_precision("float32")
    torch.manual_seed(1)
    np.random.seed(1)
    wanted = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    solve(problem, progress=False, out=tmp_path / "run")
    found = fit(np.linspace(0, 1, 50), np.linspace(0, 1, 50) ** 2, out=tmp_path / "some.fit", progress=False)
    assert torch.get_default_dtype() == torch.float32
    assert torch.rand(1) == wanted[0] and np.random.rand() == wanted[1]
    assert found.predict([[0.5]]).dtype == np.float64
