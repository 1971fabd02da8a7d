"""The GPT: its data, model, training and samples, compared with the published program."""

import copy
import doctest
import random

import pytest
from helpers import bits, bits_of
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_edu import Value, data, fit, math, nn
from tinygrad_edu.errors import DataError
from tinygrad_edu.examples import gpt
from tinygrad_edu.testing import gradcheck

TINY = {"vocabulary": 3, "width": 4, "heads": 2, "block": 4, "init": nn.normal(0.5)}


def tiny(seed=0, **changes):
    return gpt.GPT(**{**TINY, **changes}, rng=seed)


def data_of(rows):
    return [[float(x) for x in row] for row in rows]


# ---- the published program -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def article():
    """Runs the program's first lines: generator, names, vocabulary and untrained model."""
    rng = random.Random(42)
    names = gpt.documents()
    rng.shuffle(names)
    vocabulary = gpt.Vocabulary(names)
    return rng, names, vocabulary, gpt.GPT(len(vocabulary), rng=rng)


def test_the_first_losses_are_the_published_ones(article):
    _, names, vocabulary, model = copy.deepcopy(article)
    X, y = gpt.sequences(names, vocabulary, 6)
    history = fit(
        model,
        gpt.loss,
        X,
        y,
        optimizer=gpt.optimizer(model, 1000),
        epochs=1,
        batch_size=1,
        shuffle=False,
    )
    assert [round(loss, 4) for loss in history.loss] == [
        3.3660,
        3.4243,
        3.1778,
        3.0664,
        3.2209,
        2.9452,
    ]


def test_names_after_a_few_steps_are_those_of_the_published_program(article):
    rng, names, vocabulary, model = copy.deepcopy(article)
    history = gpt.train(model, vocabulary, names, steps=3)
    # From a run of the article's program with num_steps = 3, its losses printed to the last digit.
    assert history.loss == pytest.approx(
        [3.3659669475848504, 3.4242727838717717, 3.176175309697227], rel=1e-13
    )
    names = [gpt.sample(model, vocabulary, rng=rng) for _ in range(5)]
    assert names == ["org", "stclyzqwpacspqcw", "ku", "xcggaipbutgx", "zrdg"]


def test_module_examples_run_as_printed():
    assert doctest.testmod(gpt).failed == 0


def test_the_model_has_4192_parameters_drawn_in_the_published_order(article):
    _, names, _, model = article
    rng = random.Random(42)
    shuffled = data.names()
    rng.shuffle(shuffled)
    assert names == shuffled
    parameters = model.named_parameters()
    assert [p.data for _, p in parameters] == [rng.gauss(0, 0.08) for _ in range(4192)]
    sizes: dict[str, int] = {}
    for name, _ in parameters:
        part = name.partition(".weight")[0]
        sizes[part] = sizes.get(part, 0) + 1
    assert list(sizes.items()) == [
        ("wte", 27 * 16),
        ("wpe", 16 * 16),
        ("lm_head", 27 * 16),
        ("layers.0.attention.query", 256),
        ("layers.0.attention.key", 256),
        ("layers.0.attention.value", 256),
        ("layers.0.attention.output", 256),
        ("layers.0.fc1", 1024),
        ("layers.0.fc2", 1024),
    ]


# ---- data ----------------------------------------------------------------------------------------


def test_the_packaged_names_are_the_default():
    assert gpt.documents() == data.names()


def test_documents_are_the_lines_that_are_not_blank(tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes("\ufeffJosé\r\n\r\n  Zoë Anne \n \t\nÅsa".encode())
    assert gpt.documents(path) == ["José", "Zoë Anne", "Åsa"]
    assert gpt.documents(str(path)) == gpt.documents(path)


@pytest.mark.parametrize(("content", "message"), [
    (b"", "has no names: it is empty; give a text file with one name a line"),
    (b" \n\n\t", "has no names: it has only blanks; give a text file with one name a line"),
    (b"\xff\xfe\x00", "is text in UTF-16, not in UTF-8: save it in that encoding; give a"),
])
def test_file_without_names_is_rejected(content, message, tmp_path):
    path = tmp_path / "names.txt"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        gpt.documents(path)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_a_file_that_cannot_be_read_is_an_oserror_with_a_remedy(tmp_path):
    for path, why in (
        (tmp_path / "none.txt", "No such file or directory"),
        (tmp_path, "Is a directory"),
    ):
        with pytest.raises(OSError, match=f"{why}; give a text file with one name a line$"):
            gpt.documents(path)


def test_a_vocabulary_has_the_characters_in_order_and_a_boundary():
    vocabulary = gpt.Vocabulary(["cab", "ad"])
    assert (vocabulary.characters, vocabulary.boundary, len(vocabulary)) == (
        ["a", "b", "c", "d"],
        4,
        5,
    )
    assert vocabulary.encode("bad") == [4, 1, 0, 3, 4]
    assert vocabulary.decode([4, 1, 0, 3, 4]) == "bad"
    assert repr(vocabulary) == "<Vocabulary of 5 tokens: 'abcd' and the boundary>"


@given(st.lists(st.text(), min_size=1))
def test_decoding_reverses_encoding(documents):
    vocabulary = gpt.Vocabulary(documents)
    for document in documents:
        tokens = vocabulary.encode(document)
        assert len(tokens) == len(document) + 2
        assert vocabulary.decode(tokens) == document


def test_encode_and_decode_name_what_is_not_in_the_vocabulary():
    vocabulary = gpt.Vocabulary(["ab"])
    with pytest.raises(
        ValueError,
        match=r"^encode: document 'abca' has the character 'c', which is not in the vocabulary: "
        "'ab'; make the vocabulary from all documents$",
    ):
        vocabulary.encode("abca")
    for token in (3, -1):
        with pytest.raises(
            ValueError,
            match=f"^decode: entry 1 of tokens must be a whole number from 0 to 2, not {token}$",
        ):
            vocabulary.decode([0, token])


def test_sequences_predict_the_next_token_and_repeat_the_documents():
    vocabulary = gpt.Vocabulary(["ab", "b"])
    X, y = gpt.sequences(["ab", "b"], vocabulary, 3)
    assert X == [[2, 0, 1], [2, 1], [2, 0, 1]]
    assert y == [[0, 1, 2], [1, 2], [0, 1, 2]]


def test_sequences_are_cut_to_the_positions_of_the_model():
    vocabulary = gpt.Vocabulary(["abba"])
    assert gpt.sequences(["abba"], vocabulary, 1, block=3) == ([[2, 0, 1]], [[0, 1, 1]])
    assert gpt.sequences(["abba"], vocabulary, 1, block=5) == ([[2, 0, 1, 1, 0]], [[0, 1, 1, 0, 2]])


def test_sequences_rejects_empty_input():
    with pytest.raises(ValueError, match="sequences: documents must have at least one text"):
        gpt.sequences([], gpt.Vocabulary(["a"]), 3)


# ---- model ---------------------------------------------------------------------------------------


def test_logits_do_not_depend_on_later_tokens():
    model = tiny()
    first, second = model([0, 1, 2]), model([0, 1, 0])
    assert data_of(first[:2]) == data_of(second[:2])
    assert data_of(first[2:]) != data_of(second[2:])
    math.total(first[0]).backward()
    assert any(p.grad for p in model.wte.weight[0])
    assert not any(p.grad for row in model.wte.weight[1:] + model.wpe.weight[1:] for p in row)


def test_logits_depend_on_the_order_of_tokens():
    model = tiny()
    assert data_of(model([0, 1, 2])[2:]) != data_of(model([1, 0, 2])[2:])


def test_reading_token_by_token_equals_one_call():
    model = tiny(layers=2)
    past = model.start()
    for token, logits in zip([2, 0, 1, 1], model([2, 0, 1, 1]), strict=True):
        assert [bits(x.data) for x in model.read(token, past)] == [bits(x.data) for x in logits]


@pytest.mark.parametrize("tokens", [[0.0, 1.0], [Value(0.0), Value(1.0)]], ids=["floats", "Values"])
def test_tokens_may_be_any_kind_of_number(tokens):
    model = tiny()
    assert data_of(model(tokens)) == data_of(model([0, 1]))


@pytest.mark.parametrize("order", [1, 2])
def test_the_derivative_along_a_line_agrees_with_differences(order):
    """All weights move at once along a line with parameter t, each at a different speed."""
    model, rng = tiny(layers=2), random.Random(1)
    tables = [part for part in model.modules() if isinstance(part, (nn.Linear, nn.Embedding))]
    starts = [
        [[(w.data, rng.gauss(0, 1)) for w in row] for row in table.weight] for table in tables
    ]

    def along(t):
        for table, rows in zip(tables, starts, strict=True):
            table.weight = [[start + t * speed for start, speed in row] for row in rows]
        return gpt.loss(model([2, 0, 1]), [0, 1, 2])

    assert len(tables) == 3 + 2 * 6
    assert gradcheck(along, [0.0], order)


def test_every_layer_has_gradients():
    model = tiny(layers=2)
    gpt.loss(model([2, 0, 1]), [0, 1, 2]).backward()
    silent = [
        name
        for name, p in model.named_parameters()
        if not p.grad and not name.startswith("wpe.weight.3")
    ]
    # Only a relu unit may have no gradient, if it is off at all positions.
    assert all(".fc" in name for name in silent)
    assert any(p.grad for p in model.layers[1].fc2.parameters())


def test_model_rejects_more_tokens_than_positions():
    model = tiny()
    assert len(model([0, 1, 2, 0])) == 4
    with pytest.raises(
        ValueError,
        match=r"^the model has 4 positions, so it cannot read token 5; pass shorter sequences, "
        r"or make the model with a larger block=$",
    ):
        model([0, 1, 2, 0, 1])


def test_model_rejects_tokens_outside_the_vocabulary():
    model = tiny()
    past = model.start()
    for token in (3, -1):
        with pytest.raises(
            IndexError,
            match=rf"^GPT: each token must be a whole number from 0 to 2, not {token}; write",
        ):
            model.read(token, past)
    assert past == [[]]
    with pytest.raises(IndexError, match=r"loss: targets must .* index 3\.0 of 3 entries"):
        gpt.loss(model([0]), [3])


@pytest.mark.parametrize(("changes", "message"), [
    ({"layers": 0}, "GPT: layers must be a whole number >= 1, not 0"),
    ({"heads": 3}, "heads must divide the width 4, which 3 does not"),
    ({"block": 0}, "GPT: block must be a whole number >= 1, not 0"),
])
def test_invalid_sizes_are_rejected(changes, message):
    with pytest.raises(ValueError, match=message):
        tiny(**changes)


def test_checkpoint_restores_a_model(tmp_path):
    model, other = tiny(1), tiny(2)
    nn.load(other, nn.save(model, tmp_path / "gpt.json"))
    assert data_of(other([0, 2])) == data_of(model([0, 2]))


# ---- the loss ------------------------------------------------------------------------------------


def test_the_loss_is_the_mean_surprise_at_the_target():
    logits = [[0.3, -1.0, 2.0], [1.0, 1.5, -0.5]]
    expected = -(math.log(math.softmax(logits[0])[2]) + math.log(math.softmax(logits[1])[0])) / 2
    assert gpt.loss([list(map(Value, row)) for row in logits], [2, 0]).data == pytest.approx(
        expected, rel=1e-15
    )


def test_loss_of_equal_logits_is_that_of_guessing():
    assert gpt.loss([[Value(7.0)] * 27], [3]).data == pytest.approx(math.log(27), rel=1e-15)


def test_loss_is_finite_when_the_probability_underflows():
    logits = [Value(0.0), Value(1000.0)]
    loss = gpt.loss([logits], [0])
    loss.backward()
    assert (loss.data, [x.grad for x in logits]) == (1000.0, [-1.0, 1.0])


@pytest.mark.parametrize(("predictions", "targets"), [
    ([], []), ([[Value(1.0)]], []), ([[Value(1.0)]], [0, 0]),
])
def test_loss_requires_a_target_for_every_position(predictions, targets):
    with pytest.raises(
        ValueError, match=f"^loss: {len(predictions)} predictions for {len(targets)} targets"
    ):
        gpt.loss(predictions, targets)


# ---- training and sampling -----------------------------------------------------------------------


def test_train_equals_the_loop_of_the_article():
    """The article takes documents in turn, with Adam(0.85, 0.99, 1e-8) and a learning rate that
    falls linearly from 0.01 to 0."""
    documents, steps = ["ab", "b", "ba"], 5
    vocabulary = gpt.Vocabulary(documents)
    model, twin = tiny(3), tiny(3)
    history = gpt.train(model, vocabulary, documents, steps)
    parameters, losses = twin.parameters(), []
    m, v = [0.0] * len(parameters), [0.0] * len(parameters)
    for step in range(steps):
        tokens = vocabulary.encode(documents[step % 3])
        probabilities = [math.softmax(logits) for logits in twin(tokens[:-1])]
        loss = sum(-math.log(p[target]) for p, target in zip(probabilities, tokens[1:])) / (
            len(tokens) - 1
        )
        losses.append(loss.data)
        twin.zero_grad()
        loss.backward()
        for i, p in enumerate(parameters):
            m[i] = 0.85 * m[i] + 0.15 * p.grad
            v[i] = 0.99 * v[i] + 0.01 * p.grad**2
            mean, mean_square = m[i] / (1 - 0.85**(step + 1)), v[i] / (1 - 0.99**(step + 1))
            p.data -= 0.01 * (1 - step / steps) * mean / (mean_square**0.5 + 1e-8)
    assert history.loss == pytest.approx(losses, rel=1e-12)
    assert [p.data for p in model.parameters()] == pytest.approx(
        [p.data for p in parameters], rel=1e-9
    )
    assert history.learning_rates == pytest.approx([0.01, 0.008, 0.006, 0.004, 0.002], rel=1e-12)


def test_train_learns_a_single_name():
    vocabulary = gpt.Vocabulary(["anna"])
    model = gpt.GPT(len(vocabulary), width=8, heads=2, block=6, rng=0)
    history = gpt.train(model, vocabulary, ["anna"], steps=50)
    assert history.loss[-1] < 0.1 < 1 < history.loss[0]
    assert [gpt.sample(model, vocabulary, rng=seed) for seed in range(5)] == ["anna"] * 5


@pytest.mark.parametrize("steps", [0, -1])
def test_train_rejects_zero_steps(steps):
    with pytest.raises(ValueError, match=f"steps must be a whole number >= 1, not {steps}"):
        gpt.train(tiny(), gpt.Vocabulary(["ab"]), ["ab"], steps)


def test_train_passes_on_the_engine():
    with pytest.raises(ValueError, match=r"engine must be .*, not 'warp'"):
        gpt.train(tiny(), gpt.Vocabulary(["ab"]), ["ab"], 1, engine="warp")
    for engine, sentence in (
        (None, "jit, 2 steps"),
        ("jit", "jit, 2 steps"),
        ("eager", "eager, 2 steps"),
    ):
        assert (
            gpt.train(tiny(), gpt.Vocabulary(["ab"]), ["ab"], 2, engine=engine).engine == sentence
        )


def test_both_engines_train_to_the_same_bits():
    def run(engine):
        model, documents = tiny(3), ["ab", "b", "ba"]
        history = gpt.train(model, gpt.Vocabulary(documents), documents, 7, engine=engine)
        return bits_of(history.loss), bits_of([p.data for p in model.parameters()])

    assert run("jit") == run("eager")


@pytest.mark.filterwarnings("ignore::tinygrad_edu.errors.TrainingWarning")  # a short run
def test_names_of_any_length_are_filled_up_without_changing_a_bit():
    documents = ["a", "abc", "ab" * 9, "cab" * 15]  # 16 positions, 32 and 40
    losses = {}
    for engine in ("jit", "eager"):
        model = gpt.GPT(4, width=4, heads=2, block=40, rng=0)
        history = gpt.train(model, gpt.Vocabulary(documents), documents, 5, engine=engine)
        losses[engine] = bits_of(history.loss), bits_of(p.data for p in model.parameters())
    assert losses["jit"] == losses["eager"]


def test_the_loss_counts_positions_with_a_weight():
    rows = [[0.5, -1.0], [2.0, 0.25], [1e3, -1e3]]
    assert gpt.loss(rows, [1, 0, 1], [1, 1, 0]) == gpt.loss(rows[:2], [1, 0])
    with pytest.raises(ValueError, match=r"weights must be a list of 3 numbers.*not \[1, 1\]"):
        gpt.loss(rows, [1, 0, 1], [1, 1])


@pytest.mark.parametrize("temperature", [0.5, 20.0])
def test_a_compiled_sampler_has_the_names_of_sample(temperature):
    vocabulary = gpt.Vocabulary(["ab", "c"])
    model = gpt.GPT(4, width=4, heads=2, block=20, rng=0)
    invent = gpt.sampler(model, vocabulary, temperature)
    for seed in range(10):
        wanted = gpt.sample(model, vocabulary, temperature, seed)
        assert invent(random.Random(seed)) == wanted
    model.parameters()[0].data += 1.0
    assert invent(random.Random(0)) == gpt.sample(model, vocabulary, temperature, 0)


def test_sample_is_determined_by_the_seed_and_changes_nothing():
    model, vocabulary = tiny(1), gpt.Vocabulary(["ab"])
    state = model.state_dict()
    names = [
        [gpt.sample(model, vocabulary, temperature=5.0, rng=seed) for seed in range(20)]
        for _ in range(2)
    ]
    assert names[0] == names[1]
    assert len(set(names[0])) > 5
    assert model.state_dict() == state


def test_samples_end_when_the_positions_are_used_up():
    model, vocabulary = tiny(1), gpt.Vocabulary(["ab"])
    names = {gpt.sample(model, vocabulary, temperature=100.0, rng=seed) for seed in range(60)}
    assert max(map(len, names)) == 4
    assert "" in names


def test_sample_at_a_low_temperature_chooses_the_likeliest_tokens():
    model, vocabulary = tiny(5), gpt.Vocabulary(["ab"])
    tokens = [2]
    while len(tokens) <= 4:
        logits = data_of(model(tokens))[-1]
        tokens.append(logits.index(max(logits)))
        if tokens[-1] == 2:
            break
    assert {gpt.sample(model, vocabulary, temperature=1e-6, rng=seed) for seed in range(5)} == {
        vocabulary.decode(tokens)
    }


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.inf, math.nan])
def test_sample_rejects_invalid_temperatures(temperature):
    with pytest.raises(
        ValueError,
        match=f"^sample: temperature must be a finite number > 0, such as 0.5, not {temperature}$",
    ):
        gpt.sample(tiny(), gpt.Vocabulary(["ab"]), temperature)
