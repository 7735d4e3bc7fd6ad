"""Drop-in training of a ``dde.Model`` that the user's own script has built."""

import contextlib
import time
from collections.abc import Sequence
from typing import Any

import torch

from .. import limits
from ..arguments import seconds, whole
from ..backend import dde, quiet
from ..discretization.jacobian import not_finite, with_auxiliary
from ..discretization.objective import AUTOMATIC, Objective, check_weights
from ..errors import InputError, choose
from ..methods import METHODS, sequence
from ..methods.gauss_newton import GaussNewton
from ..problem.residuals import residual_vectors


def train(
    model: Any,
    method: str = "gauss-newton",
    iterations: int | dict[str, int] | None = None,
    time_limit: float | None = None,
    callbacks: Sequence | None = None,
    *,
    unknowns: Sequence[torch.Tensor] | None = None,
    loss_weights: Any = "compiled",
    method_options: dict | None = None,
    display_every: int | None = None,
    verbose: int = 1,
) -> Any:
    """Train a DeepXDE model in place of ``model.train``: ``repnet_pde.train(model)``.

    The loss is the sum of the terms' mean squares, whatever ``loss`` the model was compiled with.

    Args:
        model: a ``dde.Model`` with ``dde.data.PDE`` or TimePDE and any network; compiled or not.
        method: "gauss-newton", "least-squares", "ssbroyden", "lbfgs", "adam", "soap", or a sequence such as
            "adam+gauss-newton". The first three need float64:
            ``dde.config.set_default_float("float64")`` at the start of the script.
        iterations: of each stage of the method: one number, or by method; None takes the methods' defaults.
        time_limit: seconds, or None.
        callbacks: DeepXDE's: their hooks at the start and end of the training and of every iteration (for L-BFGS every
            chunk) are called, and ``model.stop_training`` is respected. PDEPointResampler is not supported:
            Gauss-Newton resamples its points itself (its option ``refine``).
        unknowns: ``dde.Variable`` objects to be trained too; None: ``external_trainable_variables`` of ``compile``.
        loss_weights: "compiled" takes those of ``compile``, and "auto" where it had none; "auto" balances the terms;
            None, or one number per term.
        method_options: by method, such as ``{"gauss-newton": {"refine": 0}}``.
        display_every: iterations between two entries of the history; None depends on the method.
        verbose: 0 prints nothing.

    Returns:
        ``model.losshistory``, ``model.train_state``, as Model.train does; ``train_state.stopped`` has the reason why
        each stage ended. Ctrl-C ends the training cleanly.

    Raises:
        InputError: for anything that cannot be used, before training begins.
        TrainingError: a residual became NaN or infinite; it names the term and a point.
    """
    loop = prepare(
        model,
        method,
        iterations=iterations,
        time_limit=time_limit,
        callbacks=callbacks,
        unknowns=unknowns,
        loss_weights=loss_weights,
        method_options=method_options,
        display_every=display_every,
        verbose=verbose,
    )
    return loop.run()


def prepare(
    model: Any,
    method: str,
    *,
    iterations: int | dict[str, int] | None,
    time_limit: float | None,
    callbacks: Sequence[Any] | None,
    unknowns: Sequence[torch.Tensor] | None,
    loss_weights: Any,
    method_options: dict | None,
    display_every: int | None,
    verbose: int,
) -> "Loop":
    """The checks of `train`; returns its loop, ready to run."""
    _check_model(model)
    seconds("time_limit", time_limit)
    whole("display_every", display_every, 1)
    callbacks = _check_callbacks(callbacks)
    stages = sequence(GaussNewton.name if method == "auto" else method, iterations, method_options)
    for name, _, _ in stages:
        choose("method", name, [known for known, entry in METHODS.items() if entry.any_network])
    compiled = getattr(model, "opt_name", None) is not None
    if unknowns is None:
        unknowns = model.external_trainable_variables if compiled else []
    unknowns = _check_unknowns(unknowns)
    _check_precision(model, [name for name, _, _ in stages], unknowns)
    data = with_auxiliary(model.data)
    names = _names(model, data)
    weights = _weights(model, loss_weights if compiled or loss_weights != "compiled" else "auto", names)
    objective = Objective(data, model.net, unknowns, names, weights)
    for name, count, options in stages:
        METHODS[name](objective, count, **options)
    if not compiled:
        with quiet():
            model.compile("adam", lr=1e-3, external_trainable_variables=list(unknowns) or None, verbose=0)
    return Loop(model, objective, stages, time_limit, callbacks, display_every, verbose)


class Loop:
    """DeepXDE's training loop with the methods of this package."""

    def __init__(
        self,
        model: Any,
        objective: Objective,
        stages: Sequence[tuple[str, int, dict]],
        time_limit: float | None,
        callbacks: Sequence[Any],
        display_every: int | None,
        verbose: int,
    ):
        self.model, self.objective, self.stages = model, objective, stages
        self.time_limit, self.display_every, self.verbose = time_limit, display_every, verbose
        model.callbacks = dde.callbacks.CallbackList(callbacks=callbacks)
        model.callbacks.set_model(model)

    def run(self) -> Any:
        model, state = self.model, self.model.train_state
        model.stop_training, state.stopped = False, []
        state.set_data_train(*model.data.train_next_batch())
        state.set_data_test(*model.data.test())
        begun = time.monotonic()
        self._record()
        model.callbacks.on_train_begin()
        with limits.running(self.time_limit):
            for name, iterations, options in self.stages:
                self.method = METHODS[name](self.objective, iterations, **options)
                reason = self._stage(name, self.method)
                state.stopped.append(f"{name}: {reason}")
                if self.verbose:
                    print(f"{name} ended after {time.monotonic() - begun:.1f} s: {reason}")
                if model.stop_training or reason in (limits.INTERRUPTED, limits.TIME_LIMIT):
                    break
        model.callbacks.on_train_end()
        if self.verbose:
            dde.display.training_display.summary(state)
        return model.losshistory, state

    def _stage(self, name: str, method: Any) -> str:
        model, state = self.model, self.model.train_state
        every, shown = self.display_every or method.recorded_every, 0
        reason = method.stopped
        while reason is None:
            reason = limits.current().ended
            if reason is None:
                model.callbacks.on_epoch_begin()
                model.callbacks.on_batch_begin()
                done = method.iteration
                with limits.whole():
                    method.step()
                state.iteration += method.iteration - done
                state.step += method.iteration - done
                reason = method.stopped
                if reason is None and method.iteration // every > shown:
                    shown = method.iteration // every
                    self._record()
                model.callbacks.on_batch_end()
                model.callbacks.on_epoch_end()
                if model.stop_training and reason is None:
                    reason = "a callback stopped it"
        self._record()
        return reason

    def _record(self) -> None:
        """Fill the history as Model.train does; DeepXDE's test step unfreezes all parameters, so freeze them again."""
        model = self.model
        frozen = [p for p in model.net.parameters() if not p.requires_grad]
        if model.losshistory.steps and model.losshistory.steps[-1] == model.train_state.step > 0:
            return
        with contextlib.nullcontext() if self.verbose else quiet():
            model._test(verbose=self.verbose)
        for parameter in frozen:
            parameter.requires_grad_(False)
        dde.grad.clear()


def _check_model(model: Any) -> None:
    if not isinstance(model, dde.Model):
        raise InputError(f"model: a {type(model).__name__} given; a dde.Model is needed")
    if not isinstance(model.data, dde.data.PDE):
        raise InputError(
            f"model: its data is a dde.data.{type(model.data).__name__}, which is not supported; dde.data.PDE or "
            "dde.data.TimePDE is needed"
        )
    if not isinstance(model.net, torch.nn.Module):
        raise InputError(f"model: its network is a {type(model.net).__name__}; a torch.nn.Module is needed")
    if not any(p.requires_grad for p in model.net.parameters()):
        raise InputError("model: its network has no parameters to train")
    pde = model.data.pde
    if pde is not None and dde.utils.get_num_args(pde) not in (2, 3):
        raise InputError(
            f"model: pde has {dde.utils.get_num_args(pde)} parameters, with which DeepXDE ignores it; pde(x, y), or "
            "pde(x, y, auxiliary variables), is needed"
        )
    if dde.config.autodiff == "forward":
        raise InputError(
            "model: forward-mode autodiff is not supported; call dde.config.set_default_autodiff('reverse')"
        )
    for condition in model.data.bcs:
        if getattr(condition, "batch_size", None) is not None:
            raise InputError(f"model: a {type(condition).__name__} with batch_size is not supported; leave it out")


def _check_callbacks(callbacks: Sequence[Any] | None) -> list:
    if callbacks is None:
        return []
    if not isinstance(callbacks, (list, tuple)) or not all(isinstance(c, dde.callbacks.Callback) for c in callbacks):
        raise InputError(f"callbacks: {callbacks!r} given; a list of dde.callbacks.Callback is needed")
    for callback in callbacks:
        if isinstance(callback, dde.callbacks.PDEPointResampler):
            raise InputError(
                "callbacks: PDEPointResampler would change the points under the method; gauss-newton redraws its own"
            )
    return list(callbacks)


def _check_unknowns(unknowns: Any) -> list[torch.Tensor]:
    unknowns = [unknowns] if isinstance(unknowns, torch.Tensor) else list(unknowns)
    for v in unknowns:
        if not (isinstance(v, torch.Tensor) and v.requires_grad and v.is_leaf):
            raise InputError(f"unknowns: {v!r} given; dde.Variable objects are needed")
    return unknowns


def _check_precision(model: Any, names: Sequence[str], unknowns: Sequence[torch.Tensor]) -> None:
    tensors = [*model.net.parameters(), *unknowns]
    single = any(t.dtype != torch.float64 for t in tensors) or model.data.train_x.dtype != "float64"
    double = [name for name in names if METHODS[name].needs_float64]
    if double and single:
        raise InputError(
            f"model: is in float32 at least in part, but {double[0]} needs float64: call "
            "dde.config.set_default_float('float64') before the geometry, data, network and variables are made"
        )


def _names(model: Any, data: Any) -> list[str]:
    """Names of the terms: pde or pde_1, pde_2, …, then the conditions' classes with their numbers."""
    x = torch.as_tensor(model.data.train_x).requires_grad_()
    try:
        u = model.net(x)
    except Exception as error:
        raise InputError(f"model: its network cannot be evaluated at x {tuple(x.shape)}: {error}") from error
    if not isinstance(u, torch.Tensor) or u.ndim != 2 or len(u) != len(x):
        shape = tuple(u.shape) if isinstance(u, torch.Tensor) else type(u).__name__
        raise InputError(f"model: its network gives {shape} for {len(x)} points; (n, outputs) is needed")
    try:
        vectors = residual_vectors(data, model.net)
    except Exception as error:
        raise InputError(f"model: its residuals cannot be evaluated: {type(error).__name__}: {error}") from error
    finally:
        dde.grad.clear()
    count = len(vectors) - len(model.data.bcs)
    names = ["pde"] if count == 1 else [f"pde_{i + 1}" for i in range(count)]
    names += [f"{type(c).__name__}_{i + 1}" for i, c in enumerate(model.data.bcs)]
    for name, v in zip(names, vectors, strict=True):
        if len(v) == 0:
            raise InputError(f"model: the term {name!r} has no points")
    problem = not_finite(data, names, vectors)
    if problem:
        raise InputError(f"model: {problem}")
    return names


def _weights(model: Any, given: Any, names: Sequence[str]) -> Any:
    if isinstance(given, str) and given == "compiled":
        given = model.loss_weights
        given = AUTOMATIC if given is None else given
    if isinstance(given, (list, tuple)):
        if len(given) != len(names):
            raise InputError(f"loss_weights: {len(given)} given for {len(names)} terms: {', '.join(names)}")
        given = dict(zip(names, given, strict=True))
    return check_weights(given, names)
