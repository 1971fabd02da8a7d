"""The cost model of executors: closed cases, a simulation, and planted costs that a fit finds."""

import heapq
import math
import random

import pytest

from tests.benchmarks.executors import costs as measuring
from tests.benchmarks.executors.model import (
    Cost,
    Costs,
    Load,
    efficiency,
    fitted,
    fitted_cost,
    fitted_spread,
    largest,
    misfit,
    parent_share,
    seconds,
)

FREE = Costs("free")
COUNTS = (1, 2, 3, 10, 64, 300, 1000)


def each_one(workers):
    """Returns a task for each worker, as a step of fit has."""
    return workers


def thousand(workers):
    return 1000


# ---- closed cases


@pytest.mark.parametrize("tasks", [each_one, thousand])
def test_one_worker_without_costs_is_as_fast_as_one_process(tasks):
    assert efficiency(Load("", 7.0, tasks), FREE, 1) == pytest.approx(1)


@pytest.mark.parametrize("workers", COUNTS)
def test_without_costs_all_workers_are_used(workers):
    assert efficiency(Load("", 7.0, each_one), FREE, workers) == pytest.approx(1)


def test_a_part_that_cannot_be_divided_is_amdahls_law():
    load = Load("", 9.0, each_one, serial=1.0)
    assert seconds(load, FREE, 9) == pytest.approx(1 + 9 / 9)
    assert efficiency(load, FREE, 9) == pytest.approx(10 / (9 * 2))


def test_latency_and_bandwidth_are_added_to_each_barrier():
    costs = Costs("", trip=Cost(0.5, sent=1e-6, returned=2e-6))
    load = Load("", 10.0, each_one, message=1e5, sent=4e5, returned=8e5)
    # a quarter of each for a worker
    assert seconds(load, costs, 4) == pytest.approx(0.5 + 0.1 + 0.1 + 0.4 + 10 / 4)


def test_tasks_that_cannot_be_divided_among_the_workers_leave_some_idle():
    load = Load("", 10.0, lambda workers: 10)
    assert seconds(load, FREE, 3) == pytest.approx(4)
    assert efficiency(load, FREE, 3) == pytest.approx(10 / 12)
    assert efficiency(load, FREE, 100) == pytest.approx(0.1)


def test_a_busy_parent_sets_the_time():
    costs = Costs("", parent=Cost(0.01))
    load = Load("", 1.0, thousand, own=5.0)
    assert seconds(load, costs, 1000) == pytest.approx(999 * 0.015 + 0.005 + 0.001)
    assert parent_share(load, costs, 1000) == pytest.approx(1, abs=1e-3)
    assert parent_share(Load("", 1e6, thousand), costs, 10) < 1e-3


def test_two_workers_wait_for_the_slower_one():
    load = Load("", 2.0, each_one)
    spread = Costs("", spread=0.1)
    assert seconds(load, spread, 1) == pytest.approx(2)
    assert seconds(load, spread, 2) == pytest.approx(1 + 0.1 / math.sqrt(math.pi))
    # sums of a hundred durations differ less
    assert seconds(Load("", 2.0, lambda workers: 200), spread, 2) == pytest.approx(
        1 + 0.01 / math.sqrt(math.pi))


def test_noise_is_less_in_long_tasks():
    costs = Costs("", spread=0.03, noise=0.0016)
    assert costs.deviation(1.0) == pytest.approx(0.05)
    assert costs.deviation(1e6) == pytest.approx(0.03, rel=1e-4)
    assert seconds(Load("", 2.0, each_one), costs, 2) == pytest.approx(
        1 + 0.05 / math.sqrt(math.pi))


def test_only_so_many_workers_are_used_as_tasks_are_submitted():
    load = Load("", 10.0, thousand, most=lambda workers: 10)
    assert seconds(load, FREE, 100) == seconds(load, FREE, 10) == pytest.approx(1)


def test_on_one_machine_processors_are_shared():
    costs = Costs("", parent=Cost(0.001), worker=Cost(0.002))
    load = Load("", 10.0, thousand)
    assert seconds(load, costs, 8, processors=2) == pytest.approx((10 + 1 + 2) / 2)


@pytest.mark.parametrize(("count", "expected"), [
    (1, 0.0), (2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi)), (10, 1.538753),
    (100, 2.507594), (1000, 3.241436),
])
def test_the_largest_of_normal_numbers_is_as_published(count, expected):
    assert largest(count) == pytest.approx(expected, abs=1e-5)


def test_efficiency_falls_with_the_number_of_workers():
    costs = Costs("", Cost(1e-4, 1e-9, 1e-9), Cost(1e-4), Cost(1e-3, 2e-9, 2e-9), spread=0.05)
    for load in (Load("", 1.0, each_one, message=3e3, returned=1e6),
                 Load("", 1.0, thousand, sent=1e8, own=0.1)):
        counts = [w for w in COUNTS if load.tasks(w) % w == 0]
        found = [efficiency(load, costs, workers) for workers in counts]
        assert found == sorted(found, reverse=True)
        assert 0 < found[-1] < 0.1 < 0.8 < found[0] < 1


# ---- next to a simulation


def simulated(load, costs, workers):
    """Returns the time of the work, event by event: tasks leave the parent one after the other, and
    a worker that is done takes the next one."""
    tasks = load.tasks(workers)
    free = [0.0] * workers
    end = clock = 0.0
    for _ in range(tasks):
        clock += costs.parent.task
        begin = max(clock, heapq.heappop(free))
        done = begin + costs.worker.task + load.compute / tasks
        heapq.heappush(free, done)
        end = max(end, done)
    return end + costs.trip.task - costs.parent.task - costs.worker.task


SIMULATED = [
    (Load("", compute, tasks), Costs("", Cost(parent), Cost(worker), Cost(parent + worker)), count)
    for compute in (0.1, 10.0) for tasks in (each_one, thousand)
    for parent in (1e-5, 1e-3) for worker in (1e-5, 1e-3) for count in (1, 2, 10, 50, 1000)
]


def apart(time):
    """Returns the largest relative difference from the simulation."""
    return max(abs(time(*case) / simulated(*case) - 1) for case in SIMULATED)


def test_the_formula_is_what_a_simulation_finds():
    assert apart(seconds) < 0.02


@pytest.mark.parametrize("wrong", [
    lambda load, costs, workers: seconds(load, Costs("", costs.parent, trip=costs.trip), workers),
    lambda load, costs, workers: seconds(
        load, Costs("", worker=costs.worker, trip=costs.trip), workers),
    lambda load, costs, workers: load.compute / workers,
    lambda load, costs, workers: seconds(load, costs, workers + 1),
])
def test_a_planted_mistake_is_seen_next_to_the_simulation(wrong):
    assert apart(wrong) > 0.2


# ---- fitting


def points(cost, noise=0.0):
    rng = random.Random(0)
    return [(sent, returned, cost(sent, returned) * (1 + rng.gauss(0, noise)))
            for sent, returned in measuring.SIZES]


@pytest.mark.parametrize("planted", [
    Cost(1e-4, 3e-10, 6e-10), Cost(2e-3, 5e-9, 1e-9), Cost(1e-2, 0.0, 2e-9), Cost(1e-3),
])
def test_planted_costs_are_found_again(planted):
    found = fitted_cost(points(planted))
    for name in ("task", "sent", "returned"):
        assert getattr(found, name) == pytest.approx(getattr(planted, name), rel=1e-6, abs=1e-18)
    near = fitted_cost(points(planted, noise=0.01))
    assert near.task == pytest.approx(planted.task, rel=0.03)
    assert misfit(near, points(planted)) < 0.03


def test_a_planted_wrong_time_is_seen_as_a_misfit():
    planted = Cost(1e-4, 3e-10, 6e-10)
    right = points(planted)
    for i, (sent, returned, time) in enumerate(right):
        wrong = [*right[:i], (sent, returned, 3 * time), *right[i + 1:]]
        assert misfit(fitted_cost(wrong), wrong) > 0.1
    other_law = [(s, r, 1e-4 + 1e-15 * (s + r)**2) for s, r in measuring.SIZES]
    assert misfit(fitted_cost(other_law), other_law) > 0.1


def test_planted_spread_and_noise_are_found_again():
    planted = Costs("", spread=0.03, noise=0.0016)
    lengths = measuring.SPIN_SECONDS
    found = fitted_spread([(c, c * planted.deviation(c)) for c in lengths])
    assert found == (pytest.approx(0.03), pytest.approx(0.0016))


def test_costs_are_not_negative_and_too_few_times_are_refused():
    falling = [(1.0, x) for x in (1, 2, 3)]
    assert fitted(falling, [3.0, 2.0, 1.0])[1] == 0
    with pytest.raises(ValueError, match="2 positive numbers or more"):
        fitted(falling[:1], [1.0])
    with pytest.raises(ValueError, match="measure more sizes"):
        fitted(falling, [1.0, 0.0, 1.0])
