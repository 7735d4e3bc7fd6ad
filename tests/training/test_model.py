"""`repnet_pde.train` on models built as in DeepXDE's scripts."""

import deepxde as dde
import numpy as np
import pytest
import torch

import repnet_pde
from repnet_pde import InputError, set_precision

PI = np.pi


@pytest.fixture(autouse=True)
def _double():
    set_precision("float64")
    dde.config.set_random_seed(0)


def poisson(pde=None, conditions=None, net=None, **options):
    line = dde.geometry.Interval(0, 1)
    pde = pde or (lambda x, u: dde.grad.hessian(u, x) + PI**2 * torch.sin(PI * x))
    ends = dde.icbc.DirichletBC(line, lambda x: 0, lambda x, on: on)
    data = dde.data.PDE(
        line,
        pde,
        [ends] if conditions is None else conditions,
        num_domain=30,
        num_boundary=2,
        solution=lambda x: np.sin(PI * x),
        **options,
    )
    return dde.Model(data, net or dde.nn.FNN([1, 8, 1], "tanh", "Glorot normal"))


def error(model):
    x = np.linspace(0, 1, 101)[:, None]
    return dde.metrics.l2_relative_error(np.sin(PI * x), model.predict(x))


class Hooks(dde.callbacks.Callback):
    """Counts the calls, and stops the training after some iterations."""

    def __init__(self, stop=None):
        super().__init__()
        self.calls, self.stop = [], stop

    def on_train_begin(self):
        self.calls.append("begin")

    def on_train_end(self):
        self.calls.append("end")

    def on_epoch_begin(self):
        self.calls.append("(")

    def on_epoch_end(self):
        self.calls.append(")")
        if self.stop is not None and self.calls.count(")") == self.stop:
            self.model.stop_training = True


@pytest.mark.parametrize("compiled", [True, False])
def test_one_line_in_a_script(compiled, tmp_path, capsys):
    model = poisson()
    if compiled:
        model.compile("adam", lr=1e-3, metrics=["l2 relative error"])
    history, state = repnet_pde.train(model, iterations=40, display_every=5)
    out = capsys.readouterr().out
    assert error(model) < 1e-4
    assert history is model.losshistory and state is model.train_state
    assert history.steps[:3] == [0, 5, 10] and history.steps[-1] == state.step == state.iteration
    assert len(history.loss_train) == len(history.loss_test) == len(history.metrics_test) == len(history.steps)
    assert sum(history.loss_train[-1]) < 1e-4 * sum(history.loss_train[0])
    assert state.stopped[0].startswith("gauss-newton: ") and state.stopped[0] in out.replace(" ended after", ":") or out
    dde.saveplot(history, state, issave=True, isplot=False, output_dir=str(tmp_path))
    assert (tmp_path / "loss.dat").exists()


@pytest.mark.parametrize("method", ["adam", "lbfgs", "ssbroyden", "least-squares", "adam+lbfgs+gauss-newton"])
def test_every_method(method):
    model = poisson()
    model.compile("adam", lr=1e-3)
    before = error(model)
    _, state = repnet_pde.train(model, method, iterations=30, verbose=0)
    assert error(model) < before
    assert len(state.stopped) == method.count("+") + 1


def test_hard_constraint_auxiliary_variables_and_compiled_unknown():
    a = dde.Variable(1.0)
    x = np.linspace(0.1, 0.9, 9)[:, None]
    model = poisson(
        lambda x, u, f: dde.grad.hessian(u, x) + a * f,
        [dde.icbc.PointSetBC(x, np.sin(PI * x))],
        auxiliary_var_function=lambda x: np.sin(PI * x),
    )
    model.net.apply_output_transform(lambda x, u: x * (1 - x) * u)
    model.compile("adam", lr=1e-3, external_trainable_variables=a)
    repnet_pde.train(model, iterations=60, verbose=0)
    assert a.item() == pytest.approx(PI**2, rel=1e-4)
    assert error(model) < 1e-4


def test_unknowns_as_an_argument_and_their_recorded_values(tmp_path):
    a = dde.Variable(1.0)
    x = np.linspace(0.1, 0.9, 9)[:, None]
    model = poisson(
        lambda x, u: dde.grad.hessian(u, x) + a * torch.sin(PI * x), [dde.icbc.PointSetBC(x, np.sin(PI * x))]
    )
    values = dde.callbacks.VariableValue(a, period=1, filename=str(tmp_path / "values"), precision=8)
    repnet_pde.train(model, iterations=60, unknowns=[a], callbacks=[values], verbose=0)
    assert a.item() == pytest.approx(PI**2, rel=1e-3)
    lines = (tmp_path / "values").read_text().splitlines()
    assert lines[0].startswith("0 [1.0") and int(lines[-1].split()[0]) == model.train_state.iteration


def test_callbacks_are_called_and_can_stop(tmp_path):
    model, hooks = poisson(), Hooks(stop=3)
    checkpoint = dde.callbacks.ModelCheckpoint(str(tmp_path / "model"), period=2)
    history, state = repnet_pde.train(model, callbacks=[hooks, checkpoint], verbose=0)
    assert hooks.calls == ["begin", *"()()()", "end"]
    assert state.stopped == ["gauss-newton: a callback stopped it"]
    assert history.steps[-1] == state.iteration == 3
    assert [f.name for f in tmp_path.iterdir()] == ["model-2.pt"]
    again = dde.callbacks.EarlyStopping(min_delta=1e9, patience=2)
    repnet_pde.train(model, callbacks=[again], verbose=0)
    assert state.iteration == 3 + 3


def test_compiled_loss_weights_decide():
    """Two conditions that contradict each other: the heavier one is met."""
    found = []
    for weights in ([1, 1e4, 1], [1, 1, 1e4]):
        points = [dde.icbc.PointSetBC(np.array([[0.0]]), np.array([[value]])) for value in (0.0, 1.0)]
        model = poisson(lambda x, u: dde.grad.hessian(u, x), points)
        model.compile("adam", lr=1e-3, loss_weights=weights)
        repnet_pde.train(model, iterations=30, verbose=0)
        found.append(model.predict(np.array([[0.0]])).item())
    assert found == pytest.approx([0, 1], abs=1e-3)


def test_time_limit_and_frozen_parameters():
    model = poisson(net=dde.nn.FNN([1, 20, 20, 1], "tanh", "Glorot normal"))
    frozen = model.net.linears[0].weight.requires_grad_(False)
    before = frozen.clone()
    _, state = repnet_pde.train(model, "adam", iterations=10**9, time_limit=0.3, verbose=0)
    assert state.stopped == ["adam: time limit"]
    assert torch.equal(frozen, before) and not frozen.requires_grad
    repnet_pde.train(model, iterations=5, verbose=0)
    assert torch.equal(frozen, before)


def single():
    set_precision("float32")
    model = poisson()
    set_precision("float64")
    return model


def with_nan():
    return poisson(lambda x, u: dde.grad.hessian(u, x) + torch.log(x - 0.5))


@pytest.mark.parametrize(
    ("make", "arguments", "message"),
    [
        (lambda: "model", {}, "model: a str given; a dde.Model is needed"),
        (
            lambda: dde.Model(
                dde.data.Function(dde.geometry.Interval(0, 1), np.sin, 5, 5), dde.nn.FNN([1, 2, 1], "tanh", "zeros")
            ),
            {},
            "dde.data.Function, which is not supported",
        ),
        (single, {}, "model: is in float32.*gauss-newton needs float64.*set_default_float"),
        (with_nan, {}, r"model: residual 'pde' is nan at the point \(0"),
        (lambda: poisson(lambda x, u, a=1, b=2: u), {}, "pde has 4 parameters, with which DeepXDE ignores it"),
        (
            lambda: poisson(lambda x, u: u @ torch.ones(3)),
            {},
            "its residuals cannot be evaluated: RuntimeError",
        ),
        (lambda: poisson(net=dde.nn.FNN([2, 3, 1], "tanh", "zeros")), {}, "its network cannot be evaluated"),
        (poisson, {"method": "newton"}, "method: 'newton' is not known"),
        (poisson, {"iterations": -1}, "iterations: -1"),
        (poisson, {"time_limit": 0}, "time_limit: 0"),
        (poisson, {"callbacks": ["x"]}, "callbacks: .* given; a list of dde.callbacks.Callback"),
        (poisson, {"callbacks": [dde.callbacks.PDEPointResampler()]}, "callbacks: PDEPointResampler"),
        (poisson, {"unknowns": [1.0]}, "unknowns: 1.0 given; dde.Variable"),
        (poisson, {"loss_weights": [1.0]}, "loss_weights: 1 given for 2 terms: pde, DirichletBC_1"),
        (poisson, {"method_options": {"gauss-newton": {"damping": -1}}}, "damping: -1 given"),
        (poisson, {"display_every": 0}, "display_every: 0"),
    ],
)
def test_bad_input(make, arguments, message):
    with pytest.raises(InputError, match=message):
        repnet_pde.train(make(), verbose=0, **arguments)
