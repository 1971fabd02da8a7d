"""What a program assigns to ``data`` and ``grad`` of a Value."""

import numpy as np
import pytest

from tinygrad_edu import Value, detect_anomaly, math


def cross_entropy(w):
    return -math.log_softmax([w * 2.0, w * -1.0])[0]


@pytest.mark.parametrize("loss", [
    lambda w: (w - 1) ** 2, lambda w: math.tanh(w * 2.0), lambda w: math.softplus(-w),
    cross_entropy,
])
@pytest.mark.parametrize("update", [
    lambda w: w - 0.1 * w.grad, lambda w: math.exp(w), lambda w: w + 0, lambda w: Value(2.0),
])
def test_a_value_assigned_to_data_is_refused_at_the_next_backward_pass(loss, update):
    w = Value(3.0, "w")
    loss(w).backward()
    w.grad = 0.0
    w.data = update(w)
    with pytest.raises(
        TypeError,
        match=r"^the data of w must be a number, not Value \(Value\(.*\); write \.data on both "
        r"sides, as in p\.data = p\.data - lr \* p\.grad$",
    ):
        loss(w).backward()
    assert w.grad == 0.0


@pytest.mark.parametrize("wrong", [None, "text", [0.0], 1j, np.zeros(1), Value(1.0)])
def test_a_gradient_that_is_not_a_number_is_refused_and_the_others_are_restored(wrong):
    v, w = Value(2.0, "v"), Value(3.0, "w")
    v.grad = 5.0
    w.grad = wrong
    with pytest.raises(
        TypeError, match=r"^the grad of w must be a number, not .*; set gradients to 0 with "
    ):
        (v * w).backward()
    assert v.grad == 5.0
    assert w.grad is wrong
    w.grad = 0.0
    (v * w).backward()
    assert (v.grad, w.grad) == (8.0, 2.0)


OPERATIONS = [
    lambda w: w + w, lambda w: w + 1.0, lambda w: 1.0 + w, lambda w: w - w, lambda w: 1.0 - w,
    lambda w: w * w, lambda w: w * 2.0, lambda w: 2.0 * w, lambda w: -w, lambda w: w / 2.0,
    lambda w: w**2, lambda w: Value(2.0) * w, lambda w: w.sin(), lambda w: math.hypot(w, 2.0),
    lambda w: math.atan2(1.0, w),
]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("wrong", [None, "3", "text", 1j, [1.0], np.ones(1)])
def test_data_that_is_not_a_number_is_named_when_it_is_used(operation, wrong):
    w = Value(3.0, "w")
    w.data = wrong
    with pytest.raises(TypeError, match=r"^the data of w must be a number, not .*; write "):
        operation(w).backward()
    w.data = 2.0
    operation(w).backward()


@pytest.mark.parametrize("number", [2, True, np.float32(2.0), np.int64(2)])
def test_other_numbers_may_be_assigned(number):
    w = Value(3.0)
    w.data = number
    (w * 3.0).backward()
    assert w.grad == 3.0


def test_anomaly_detection_refuses_a_value_assigned_to_data_as_well():
    w = Value(3.0, "w")
    w.data = w * 2
    with detect_anomaly(), pytest.raises(TypeError, match="the data of w must be a number"):
        (w * 2).backward()
