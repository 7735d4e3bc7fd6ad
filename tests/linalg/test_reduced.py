"""The joint problem with the state eliminated, against dense linear algebra of all its rows and columns."""

import math

import numpy as np
import pytest
import torch

from repnet_pde.linalg.reduced import Layout, Reduced

STATE, FIELDS, UNKNOWNS = 7, 4, 3
P = STATE + FIELDS + UNKNOWNS
OMEGA = 0.3


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def random(*size):
    return torch.randn(*size, dtype=torch.float64)


def layout(state=STATE, fields=FIELDS, unknowns=UNKNOWNS):
    """State and fields take turns, as they do in a network with several outputs; one field column is not penalised."""
    order = torch.randperm(state + fields, generator=torch.Generator().manual_seed(3))
    rough = 1 + 5 * torch.rand(fields, dtype=torch.float64)
    rough[-1:] = 0.0
    return Layout(order[:state].sort().values, order[state:].sort().values, rough, unknowns)


class Dense:
    """The same problem with every matrix formed."""

    def __init__(self, physics=40, data=25, weight=1.0, columns=None):
        self.physics, self.data = weight * random(physics, P), random(data, P)
        if columns is not None:
            columns(self.physics)
            columns(self.data)
        self.right = torch.cat([weight * random(physics), random(data)])
        self.layout = layout()
        self.rows = torch.cat([self.physics, self.data])
        self.penalty = torch.zeros(P, dtype=torch.float64)  # the diagonal of L, in the order of the network
        self.penalty[self.layout.fields] = self.layout.roughness

    @property
    def reduced(self):
        return Reduced(self.physics, self.data, self.right, self.layout)

    def solve(self, omega=0.0, damping=None):
        more = [math.sqrt(omega) * torch.diag(self.penalty)]
        if damping is not None:
            more.append(torch.diag(damping))
        rows = torch.cat([self.rows, *more])
        right = torch.cat([self.right, torch.zeros(P * len(more), dtype=torch.float64)])
        return torch.as_tensor(np.linalg.lstsq(rows.numpy(), right.numpy(), rcond=None)[0])

    def inverse(self, omega=0.0):
        return torch.linalg.inv(self.rows.T @ self.rows + omega * torch.diag(self.penalty.square()))

    def residual(self, omega=0.0):
        return self.data @ self.solve(omega) - self.right[len(self.physics) :]

    def posterior(self, omega=0.0, sigma=None):
        return self.reduced.posterior(omega, self.residual(omega), sigma)


def close(found, expected, tolerance=1e-9):
    found, expected = (torch.as_tensor(np.asarray(v)) for v in (found, expected))
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= tolerance * expected.abs().max()


# Estimates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("omega", [0.0, 1e-6, OMEGA, 1e4])
@pytest.mark.parametrize("weight", [1.0, 1e5])
def test_the_solution_is_that_of_all_rows(omega, weight):
    dense = Dense(weight=weight)
    close(dense.reduced.solve(omega), dense.solve(omega), 1e-9)


@pytest.mark.parametrize("rows", [(30, 4), (0, 30), (P, 0)])
def test_the_rows_may_be_of_one_kind_alone_or_fewer_than_the_unknowns(rows):
    dense = Dense(*rows)
    for omega in (0.0, OMEGA):
        close(dense.reduced.solve(omega), dense.solve(omega))


@pytest.mark.parametrize("damping", [1e-3, 1.0, 1e3])
def test_damping_adds_rows_for_the_unknowns_that_are_free_of_units(damping):
    """Each by the length of its column that is left when the state follows."""
    dense = Dense()
    state = dense.rows[:, dense.layout.state]
    basis = torch.linalg.qr(state)[0]
    last = dense.rows[:, -UNKNOWNS:]
    lengths = torch.zeros(P, dtype=torch.float64)
    lengths[-UNKNOWNS:] = (last - basis @ (basis.T @ last)).norm(dim=0)
    close(dense.reduced.solve(OMEGA, damping), dense.solve(OMEGA, math.sqrt(damping) * lengths))


def test_the_sensitivity_is_the_change_of_the_prediction_when_the_state_follows():
    dense = Dense(weight=1e6)
    state, fields = dense.layout.state, dense.layout.fields
    left = torch.cat([fields, torch.arange(P - UNKNOWNS, P)])
    found, taken = dense.reduced.sensitivity
    stretch = dense.reduced.stretch[left]

    def predicted(m):
        """The state by the physics alone, which weigh a million times as much."""
        v = torch.zeros(P, dtype=torch.float64)
        v[left] = m
        right = dense.right[: len(dense.physics)] - dense.physics @ v
        v[state] = torch.linalg.lstsq(dense.physics[:, state], right[:, None], driver="gels").solution[:, 0]
        return dense.data @ v

    m, step = random(len(left)), 0.5
    columns = [(predicted(m + step * e) - predicted(m - step * e)) / (2 * step) for e in torch.eye(len(left)).double()]
    close(found / stretch, torch.stack(columns, 1), 1e-8)
    assert taken.max() < 1e-10  # the state has no freedom beside the physics


# Uncertainties -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("omega", [0.0, OMEGA])
def test_leverage_is_the_diagonal_of_the_hat_matrix(omega):
    dense = Dense(physics=20)
    hat = dense.data @ dense.inverse(omega) @ dense.data.T
    posterior = dense.posterior(omega)
    close(posterior.leverage, hat.diagonal())
    assert posterior.dof == pytest.approx(len(dense.data) - hat.trace().item(), rel=1e-10)
    sse = dense.residual(omega).square().sum().item()
    assert posterior.estimated == posterior.sigma == pytest.approx(math.sqrt(sse / posterior.dof), rel=1e-8)
    given = dense.posterior(omega, sigma=0.7)
    assert given.sigma == 0.7 and given.estimated == posterior.estimated


def test_all_parameters_together_take_as_many_data_as_there_are_when_no_more_are_given():
    """With no more rows than columns nothing is left to estimate the noise from."""
    dense = Dense(physics=P - 5, data=5)
    posterior = dense.posterior()
    assert posterior.leverage.sum().item() == pytest.approx(5, rel=1e-8)
    assert math.isnan(posterior.sigma)


SCALE = torch.tensor([1.0, 30.0, 0.02], dtype=torch.float64)


@pytest.mark.parametrize("omega", [0.0, OMEGA])
@pytest.mark.parametrize("scale", [torch.ones(UNKNOWNS, dtype=torch.float64), SCALE])
def test_covariance_is_the_block_of_the_inverse_of_the_normal_matrix(omega, scale):
    """Whatever the unit of change in which directions are measured."""
    dense = Dense()
    found, directions = dense.posterior(omega, sigma=0.7).covariance(scale)
    close(found, 0.49 * dense.inverse(omega)[-UNKNOWNS:, -UNKNOWNS:])
    assert directions == []


@pytest.mark.parametrize("scale", [torch.ones(UNKNOWNS, dtype=torch.float64), SCALE])
def test_sandwich_covariance(scale):
    """Errors in the data rows only: B DᵀD B σ² with B the inverse of the full normal matrix."""
    dense = Dense()
    inverse = dense.inverse()
    expected = 0.49 * (inverse @ dense.data.T @ dense.data @ inverse)[-UNKNOWNS:, -UNKNOWNS:]
    found, _ = dense.posterior(sigma=0.7).covariance(scale, sandwich=True)
    close(found, expected)


def test_both_covariances_agree_where_the_physics_are_exact():
    """And are those of the data whose state follows: σ² (SᵀS)⁻¹."""
    dense = Dense(physics=P - 2 - FIELDS, weight=1e7)
    posterior = dense.posterior(sigma=1.0)
    plain, _ = posterior.covariance(SCALE)
    sandwich, _ = posterior.covariance(SCALE, sandwich=True)
    close(plain, sandwich, 1e-5)


def test_covariance_is_the_spread_of_the_estimates():
    """Over 2000 draws of the data's errors, physics exact."""
    dense, sigma = Dense(physics=STATE, weight=1e6), 0.1
    solution = torch.linalg.pinv(dense.rows)[-UNKNOWNS:, len(dense.physics) :]
    estimates = solution @ (sigma * random(len(dense.data), 2000))
    found, _ = dense.posterior(sigma=sigma).covariance(torch.ones(UNKNOWNS, dtype=torch.float64))
    ratio = torch.cov(estimates).diagonal() / torch.as_tensor(found).diagonal()
    assert ((ratio - 1).abs() < 0.2).all()  # six standard deviations of the sample's variance


@pytest.mark.parametrize("omega", [0.0, OMEGA])
def test_the_deviation_of_a_field(omega):
    dense = Dense()
    fields = dense.layout.fields
    which, values = torch.tensor([0, 2, 3]), random(9, 3)
    covariance = 0.49 * dense.inverse(omega)[fields][:, fields][which][:, which]
    found = dense.posterior(omega, sigma=0.7).field_deviation(values, which)
    close(found, (values @ covariance * values).sum(1).sqrt())


# What is not determined ----------------------------------------------------------------------------------------------


def duplicate(rows):
    rows[:, -1] = 2.0 * rows[:, -3]


def zero(rows):
    rows[:, -2] = 0.0


def combination(rows):
    rows[:, -3] = 0.5 * rows[:, -2] - 4.0 * rows[:, -1]


def absorbed(rows):
    """A change of the second unknown is undone by the state."""
    where = layout().state
    rows[:, -2] = rows[:, where] @ torch.linspace(-1, 2, len(where), dtype=torch.float64)


SINGULAR = {
    "duplicate": (duplicate, [2.0, 0.0, -1.0]),
    "zero": (zero, [0.0, 1.0, 0.0]),
    "combination": (combination, [1.0, -0.5, 4.0]),
    "absorbed": (absorbed, [0.0, 1.0, 0.0]),
}


@pytest.mark.parametrize("kind", SINGULAR)
@pytest.mark.parametrize("scale", [torch.ones(UNKNOWNS, dtype=torch.float64), SCALE])
def test_a_direction_that_the_data_leave_open_is_found(kind, scale):
    """In units of ``scale``: the null vector of the columns, divided by it."""
    columns, null = SINGULAR[kind]
    _, directions = Dense(columns=columns).posterior(sigma=1.0).covariance(scale)
    assert len(directions) == 1
    expected = np.array(null) / scale.numpy()
    expected *= np.sign(expected[np.argmax(np.abs(expected))]) / np.linalg.norm(expected)
    assert directions[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["duplicate", "zero", "absorbed"])
def test_what_is_determined_beside_it_keeps_its_variance(kind):
    """That of the problem without the column in question."""
    columns, null = SINGULAR[kind]
    dense = Dense(columns=columns)
    found, _ = dense.posterior(sigma=1.0).covariance(torch.ones(UNKNOWNS, dtype=torch.float64))
    gone = int(np.flatnonzero(null)[-1])
    keep = [i for i in range(P) if i != P - UNKNOWNS + gone]
    rows = dense.rows[:, keep]
    inverse = torch.linalg.inv(rows.T @ rows)[-UNKNOWNS + 1 :, -UNKNOWNS + 1 :]
    determined = [i for i in range(UNKNOWNS) if null[i] == 0]
    others = [i for i in range(UNKNOWNS) if i != gone]
    for i in determined:
        j = others.index(i)
        assert found[i, i] == pytest.approx(inverse[j, j].item(), rel=1e-6)


def test_two_directions():
    def columns(rows):
        zero(rows)
        duplicate(rows)

    _, directions = Dense(columns=columns).posterior(sigma=1.0).covariance(torch.ones(UNKNOWNS, dtype=torch.float64))
    assert len(directions) == 2
    expected = np.array([[0, 1, 0], [2 / math.sqrt(5), 0, -1 / math.sqrt(5)]])
    assert np.linalg.matrix_rank(np.vstack([expected, directions]), tol=1e-6) == 2


# and what that says of the others with it (absorbed: the second of three).
@pytest.mark.parametrize("kind", SINGULAR)
def test_an_open_direction_does_not_spoil_the_fit(kind):
    columns, _ = SINGULAR[kind]
    dense = Dense(columns=columns)
    v = dense.reduced.solve(0.0)
    assert torch.isfinite(v).all()
    best = (dense.rows @ dense.solve() - dense.right).norm().item()
    assert (dense.rows @ v - dense.right).norm().item() == pytest.approx(best, rel=1e-8)


@pytest.mark.parametrize("kind", [None, *SINGULAR])
@pytest.mark.parametrize("unit", [1e9, 1e-9])
def test_the_unit_of_an_unknown_changes_nothing_else(kind, unit):
    def scaled(rows):
        if kind:
            SINGULAR[kind][0](rows)
        rows[:, -1] *= unit

    torch.manual_seed(1)
    one = Dense(columns=kind and SINGULAR[kind][0])
    torch.manual_seed(1)
    other = Dense(columns=scaled)
    units = torch.tensor([1.0, 1.0, 1 / unit], dtype=torch.float64)
    if kind is None:
        v, w = one.reduced.solve(OMEGA), other.reduced.solve(OMEGA)
        close(w[:-1], v[:-1], 1e-9)
        assert w[-1].item() * unit == pytest.approx(v[-1].item(), rel=1e-8)
    scale = torch.ones(UNKNOWNS, dtype=torch.float64)
    covariance, directions = one.posterior(sigma=1.0).covariance(scale)
    again, same = other.posterior(sigma=1.0).covariance(scale * units)
    close(again / np.outer(units, units), covariance, 1e-8)
    assert len(same) == len(directions) == (kind is not None)
    for a, b in zip(directions, same, strict=True):
        assert a == pytest.approx(b, abs=1e-6)
    close(other.posterior(sigma=1.0).leverage, one.posterior(sigma=1.0).leverage, 1e-8)


# The penalty ---------------------------------------------------------------------------------------------------------


def field_problem(seed, sigma, tau, power=2.0, n=60, fields=25, unknowns=1):
    """d = K m + X b + e with m ~ N(0, τ² L⁻²), e ~ N(0, σ²), through a state c = K' m that the physics give exactly.

    Returns the `Reduced`, and (d, K, X, L) for the dense restricted likelihood.
    """
    generator = np.random.default_rng(seed)
    state = 12
    rough = torch.as_tensor(np.linspace(1, 6, fields)) ** power
    where = Layout(torch.arange(state), torch.arange(state, state + fields), rough, unknowns)
    through, sight = generator.normal(size=(state, fields)), generator.normal(size=(n, state))
    direct, of_unknowns = generator.normal(size=(n, fields)), generator.normal(size=(n, unknowns))
    m = tau * generator.normal(size=fields) / rough.numpy()
    d = (sight @ through + direct) @ m + of_unknowns @ np.full(unknowns, 2.0) + sigma * generator.normal(size=n)
    weight = 1e6
    physics = weight * np.hstack([np.eye(state), -through, np.zeros((state, unknowns))])
    data = np.hstack([sight, direct, of_unknowns])
    right = np.concatenate([np.zeros(state), d])
    reduced = Reduced(*(torch.as_tensor(a) for a in (physics, data, right)), where)
    return reduced, (d, sight @ through + direct, of_unknowns, rough.numpy())


def deviance(omega, d, k, x, rough):
    """−2 log of the restricted likelihood, its scale profiled out, but for constants (Patterson & Thompson, 1971)."""
    v = np.eye(len(d)) + (k / rough**2) @ k.T / omega
    inverse = np.linalg.inv(v)
    normal = x.T @ inverse @ x
    beta = np.linalg.solve(normal, x.T @ inverse @ d)
    r = d - x @ beta
    dof = len(d) - x.shape[1]
    return dof * math.log(r @ inverse @ r) + np.linalg.slogdet(v)[1] + np.linalg.slogdet(normal)[1]


@pytest.mark.parametrize("sigma", [0.3, 0.01])
@pytest.mark.parametrize("unknowns", [0, 2])
def test_the_penalty_is_that_of_the_restricted_likelihood(sigma, unknowns):
    for seed in range(3):
        reduced, dense = field_problem(seed, sigma, 2.0, unknowns=unknowns)
        if not unknowns:
            dense = (dense[0], dense[1], np.ones((60, 1)) * 1e-9, dense[3])
        omega = reduced.choose_penalty()
        grid = omega * np.exp(np.linspace(-5, 5, 401))
        best = grid[np.argmin([deviance(w, *dense) for w in grid])]
        assert omega == pytest.approx(best, rel=0.1 if unknowns else 0.2)


@pytest.mark.parametrize(("sigma", "tau"), [(1.0, 1.0), (1e-2, 3.0), (1e-5, 1e-2), (30.0, 1e3)])
def test_the_penalty_of_fields_drawn_from_the_prior(sigma, tau):
    found = [field_problem(seed, sigma, tau, power=1.0)[0].choose_penalty() for seed in range(9)]
    assert 0.1 < np.median(found) / (sigma / tau) ** 2 < 10


def test_without_fields_there_is_no_penalty():
    dense = Dense()
    dense.layout.roughness = torch.zeros(FIELDS, dtype=torch.float64)
    assert dense.reduced.choose_penalty() == 0.0
    alone = Layout(torch.arange(STATE + FIELDS), torch.arange(0), torch.zeros(0, dtype=torch.float64), UNKNOWNS)
    assert Reduced(dense.physics, dense.data, dense.right, alone).choose_penalty() == 0.0


# Bands ---------------------------------------------------------------------------------------------------------------


def banded(seed=0, sigma=0.1):
    """d = K m + e with three bands of m, of deviations 1, 0 and 0.05; no state. The `Reduced`, and K, d, m."""
    generator = np.random.default_rng(seed)
    size, n = 20, 200
    m = generator.normal(size=3 * size) * np.repeat([1.0, 0.0, 0.05], size)
    k = generator.normal(size=(n, 3 * size))
    d = k @ m + sigma * generator.normal(size=n)
    bands = torch.arange(3).repeat_interleave(size)
    where = Layout(torch.arange(0), torch.arange(3 * size), torch.ones(3 * size, dtype=torch.float64), 0, bands)
    empty = torch.zeros(0, 3 * size, dtype=torch.float64)
    return Reduced(empty, torch.as_tensor(k), torch.as_tensor(d), where), k, d, m


def log_evidence(k, d, penalty, sigma):
    """Of N(0, σ² (1 + K Λ⁻¹ Kᵀ)), but for constants."""
    v = sigma**2 * (np.eye(len(d)) + (k / penalty) @ k.T)
    return -0.5 * np.linalg.slogdet(v)[1] - 0.5 * d @ np.linalg.solve(v, d)


def test_the_penalties_of_bands_maximise_the_evidence():
    reduced, k, d, m = banded()
    omega = reduced.choose_penalty()
    before = reduced.solve(omega)
    reduced.choose_bands(omega)
    after = reduced.solve(omega)
    rough = reduced.layout.roughness.numpy()
    first, empty, small = (omega * rough[i] ** 2 for i in (0, 20, 40))
    assert first == pytest.approx(0.1**2, rel=1.0) and small == pytest.approx((0.1 / 0.05) ** 2, rel=1.0)
    assert empty > 100 * first
    assert np.linalg.norm(after.numpy() - m) < 0.8 * np.linalg.norm(before.numpy() - m)
    sigma = reduced.posterior(omega, torch.as_tensor(k) @ after - torch.as_tensor(d), None).estimated
    best = log_evidence(k, d, omega * rough**2, sigma)
    for band in (0, 2):
        for factor in (0.6, 1.6):
            other = omega * rough**2
            other[20 * band : 20 * band + 20] *= factor
            assert log_evidence(k, d, other, sigma) < best


def test_bands_are_left_alone_where_there_is_one_of_all():
    reduced, *_ = banded()
    reduced.layout = Layout(reduced.layout.state, reduced.layout.fields, reduced.layout.roughness, 0)
    before = reduced.layout.roughness.clone()
    reduced.choose_bands(reduced.choose_penalty())
    assert torch.equal(before, reduced.layout.roughness)
