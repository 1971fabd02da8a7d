"""Compiled functions where they are called: inside transforms, with arguments of every kind."""

import numpy as np
import pytest

from tinygrad_edu import (
    grad,
    hessian,
    jacobian,
    jit,
    jvp,
    math,
    value_and_grad,
    vjp,
)
from tinygrad_edu.errors import TraceError

# ---- inside the function of a transform


def closing_over(x):
    """Returns a function of a number that uses ``x``, too."""
    return lambda t: x * t * t


INSIDE = {
    "a call": lambda f: f(2.0),
    "a call with a list": lambda f: f(*[2.0]),
    "a call in a call": lambda f: jit(lambda t: f(t) + t)(2.0),
    "grad": lambda f: grad(f)(2.0),
    "value_and_grad": lambda f: value_and_grad(f)(2.0)[1],
    "hessian of one list": lambda f: hessian(lambda v: f(v[0]))([2.0])[0][0],
}
TRANSFORMS = {
    "grad": lambda f: grad(f)(3.0),
    "grad of grad": lambda f: grad(grad(lambda x: f(x) * x))(3.0),
    "value_and_grad": lambda f: value_and_grad(f)(3.0),
    "vjp": lambda f: vjp(f, 3.0)[1](1.0),
    "jvp": lambda f: jvp(f, [3.0], [1.0]),
    "jacobian": lambda f: jacobian(lambda v: [f(v[0]), v[0]])([3.0]),
    "hessian": lambda f: hessian(lambda v: f(v[0]) * v[0])([3.0]),
    "jit": lambda f: jit(f).value_and_grad(3.0),
}


@pytest.mark.parametrize("outer", TRANSFORMS)
@pytest.mark.parametrize("inner", INSIDE)
def test_a_compiled_function_keeps_its_connection_to_the_argument_it_closes_over(outer, inner):
    def program(compile):
        return lambda x: INSIDE[inner](compile(closing_over(x))) + x

    assert TRANSFORMS[outer](program(jit)) == TRANSFORMS[outer](program(lambda f: f))


def test_the_hessian_method_inside_a_transform_can_be_differentiated():
    def curvature(x):
        return jit(closing_over(x)).hessian(2.0)[0][0] * x  # 2x * x

    assert grad(curvature)(3.0) == 12.0
    assert hessian(lambda v: curvature(v[0]))([3.0]) == [[4.0]]
    assert jit(curvature).value_and_grad(3.0) == (18.0, 12.0)

    def of_array(x):
        return jit(lambda w: x * w[0] * w[1]).hessian(np.array([1.0, 2.0]))[0, 1] * x

    assert grad(of_array)(3.0) == 6.0


@pytest.mark.parametrize("transform", [grad, lambda f: jit(f).value_and_grad, lambda f: jit(f)])
@pytest.mark.parametrize("method", [
    lambda f: f.value_and_grad(2.0)[0],
    lambda f: f.batch([2.0])[0],
    lambda f: f.batch_value_and_grad([2.0])[0][0],
])
def test_methods_that_return_numbers_are_refused_inside_transforms(method, transform):
    with pytest.raises(TraceError, match=r"inside, use value_and_grad\(<lambda>\), grad.*for each"):
        transform(lambda x: method(jit(closing_over(x))))(3.0)
