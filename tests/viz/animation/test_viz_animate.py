"""Animations: frames, durations, pixels, fonts and limits; a file appears whole or not at all."""

import base64
import os
import random
import re
import struct
import subprocess
import sys
from itertools import pairwise

import pytest
from helpers import ROOT, run_python

import viz
from tinygrad_edu import Stepper, Value, data, fit, math, nn, optim, record
from tinygrad_edu.errors import RenderError, TrainingWarning
from tinygrad_edu.examples import lecture_expression, lecture_neuron
from viz.animation.animate import MAX_WIDTH, animate
from viz.animation.pixels import to_image, to_png
from viz.drawing.scene import Scene

pytest.importorskip("pygraphviz", reason="needs the extra `viz`")
pytest.importorskip("resvg_py", reason="needs the extra `plots`")
Image = pytest.importorskip("PIL.Image", reason="needs the extra `plots`")
from PIL import ImageChops  # noqa: E402

FORMATS = [".gif", ".apng", ".webp"]


def small():
    y = Value(2.0, "a") * Value(-3.0, "b")
    y.label = "y"
    return y


def network(samples=1):
    model = nn.MLP(2, [3, 1], rng=random.Random(3))
    return math.total(
        [nn.mse(model([Value(1.0, "x1"), Value(-2.0, "x2")]), 1.0) for _ in range(samples)]
    )


def frames_of(path):
    """Returns ``(picture, milliseconds)`` of every frame, as a viewer shows them."""
    with Image.open(path) as animation:
        found = []
        for i in range(animation.n_frames):
            animation.seek(i)
            animation.load()
            found.append((animation.convert("RGB"), animation.info["duration"]))
        return found


@pytest.fixture(scope="module", params=FORMATS)
def animation(request, tmp_path_factory):
    """Animates the lecture's neuron in each format."""
    return animate(
        record(lecture_neuron()),
        tmp_path_factory.mktemp("animations") / f"neuron{request.param}",
        scale=0.6,
    )


def test_there_is_a_frame_for_each_position_and_the_ends_stay_longer(animation):
    frames = frames_of(animation)
    assert [duration for _, duration in frames] == [1600, *[800] * 14, 3200]
    assert len({picture.tobytes() for picture, _ in frames}) == 16
    assert len({picture.size for picture, _ in frames}) == 1


def test_frames_equal_the_frames_of_the_scene(animation):
    recording = record(lecture_neuron())
    scene = Scene(recording)
    for position, (picture, _) in enumerate(frames_of(animation)):
        if position % 5:
            continue
        drawn = to_image(to_png(scene.frame(Stepper(recording).goto(position)), picture.width))
        difference = ImageChops.difference(picture, drawn).convert("L")
        if animation.suffix == ".gif":  # 255 colours: some shades of letters are missing
            assert sum(difference.histogram()[40:]) < 50
        else:
            assert difference.getextrema() == (0, 0)


def test_pixels_that_do_not_change_are_equal_in_every_frame(animation):
    pictures = [picture for picture, _ in frames_of(animation)]
    assert {picture.getpixel((1, 1)) for picture in pictures} == {(255, 255, 255)}
    place = 6, 6, 54, 21  # the label of the input x1, whose numbers change below it
    x1 = pictures[0].crop(place)
    assert x1.convert("L").getextrema()[0] < 100
    assert all(picture.crop(place).tobytes() == x1.tobytes() for picture in pictures[:14])


def test_animation_loops_unless_told_to_play_once(animation, tmp_path):
    with Image.open(animation) as picture:
        assert picture.info["loop"] == 0
    once = animate(small(), tmp_path / f"once{animation.suffix}", loop=False, scale=0.5)
    with Image.open(once) as picture:
        assert picture.info.get("loop", 1) == 1
        assert picture.n_frames == 5


def blocks_of_gif(content):
    """Returns ``(has its own palette, disposal)`` of each frame."""
    found, disposal = [], 0
    position = 13 + 3 * (2 << (content[10] & 7))
    while content[position] != 0x3B:
        if content[position] == 0x2C:
            flags = content[position + 9]
            found.append((bool(flags & 0x80), disposal))
            position += 11 + (3 * (2 << (flags & 7)) if flags & 0x80 else 0)
        else:
            if content[position + 1] == 0xF9:
                disposal = content[position + 3] >> 2 & 7
            position += 2
        while content[position]:
            position += content[position] + 1
        position += 1
    return found


def test_a_gif_has_one_palette_and_its_frames_build_on_each_other(tmp_path):
    content = animate(lecture_expression(), tmp_path / "y.gif", scale=1).read_bytes()
    assert content[:6] == b"GIF89a"
    assert content[10] & 0x80
    assert blocks_of_gif(content) == [(False, 1)] * 11


def test_steps_within_collapsed_modules_have_no_frame(tmp_path):
    recording = record(network())
    frames = frames_of(
        animate(recording, tmp_path / "y.gif", scale=0.4, milliseconds=100, collapse="layers")
    )
    shown = len(recording) - sum(Scene(recording, collapse="layers").hidden)
    assert 10 < shown < len(recording) / 2
    assert [duration for _, duration in frames] == [200, *[100] * (shown - 1), 400]


def test_a_value_its_recording_and_a_stepper_anywhere_give_the_same_animation(tmp_path):
    stepper = Stepper(record(small())).next()
    animations = [animate(what, tmp_path / f"{i}.gif", scale=1).read_bytes()
             for i, what in enumerate([small(), stepper.recording, stepper])]
    assert animations[0] == animations[1] == animations[2]
    assert stepper.position == 1


@pytest.mark.parametrize("suffix", FORMATS)
def test_the_same_recording_gives_the_same_bytes_in_every_process(suffix, tmp_path):
    code = (
        "import sys, viz; from tinygrad_edu import Value; y = Value(2.0, 'a') * Value(-3.0, 'b'); "
        "y.label = 'y'; "
        "viz.animate(y, sys.argv[1], scale=1)"
    )
    here = animate(small(), tmp_path / f"here{suffix}", scale=1)
    there = tmp_path / f"there{suffix}"
    done = run_python(code, there, hash_seed="17")
    assert done.returncode == 0, done.stderr
    assert there.read_bytes() == here.read_bytes()


def test_a_single_leaf_is_animated(tmp_path):
    frames = frames_of(animate(Value(3.0, "a"), tmp_path / "a.gif"))
    assert [duration for _, duration in frames] == [1600, 3200]
    assert frames[0][0].width == 920


def test_wide_drawing_is_scaled_to_fit(tmp_path):
    x = Value(1.0, "x")
    for _ in range(5):
        x = x.tanh()
    with Image.open(animate(x, tmp_path / "x.gif", scale=3)) as animation:
        assert animation.width == MAX_WIDTH


# ---- what cannot be done


@pytest.mark.parametrize("name", ["y.png", "y.mp4", "y.gif.txt"])
def test_unknown_suffix_is_rejected_before_anything_is_drawn(name, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")  # no layout engine
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(ValueError, match=r"\.gif, \.apng, \.webp"):
        animate(small(), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_name_without_a_suffix_gets_one_and_a_folder_is_rejected_before_anything_is_drawn(
    tmp_path,
):
    assert animate(small(), tmp_path / "animation").name == "animation.gif"
    (tmp_path / "d.gif").mkdir()
    with pytest.raises(
        IsADirectoryError, match=r"cannot save an animation as .* it is a folder; name a file in it"
    ):
        animate(small(), tmp_path / "d.gif")
    with pytest.raises(FileNotFoundError, match="create it first"):
        animate(small(), "~nosuchuser9/x.gif")


def test_suffixes_in_capitals_and_the_home_folder_are_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert animate(small(), "~/Y.GIF", scale=0.5) == tmp_path / "Y.GIF"
    assert (tmp_path / "Y.GIF").read_bytes()[:3] == b"GIF"


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"milliseconds": 5}, ValueError, "milliseconds must be a number from 20 to 60000, not 5"),
    ({"milliseconds": "fast"}, TypeError, "milliseconds must be a real number, not str"),
    ({"milliseconds": float("nan")}, ValueError, "must be a number from 20 to 60000, not nan"),
    ({"scale": 0}, ValueError, "scale must be a number from 0.1 to 20, not 0"),
    ({"scale": True}, TypeError, "scale must be a number, not bool"),
    ({"collapse": "nothing"}, ValueError, "collapse must be modules of the graph, not 'nothing'"),
    ({"max_nodes": 0}, ValueError, "max_nodes must be a whole number >= 1, not 0"),
])
def test_animate_rejects_invalid_options(options, error, message, tmp_path):
    with pytest.raises(error, match=message):
        animate(small(), tmp_path / "y.gif", **options)
    assert list(tmp_path.iterdir()) == []


def test_animate_rejects_a_number(tmp_path):
    with pytest.raises(
        TypeError, match=r"animate: recording must be a Value, .* or the History of .*, not float"
    ):
        animate(3.0, tmp_path / "y.gif")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a folder; create it first"):
        animate(small(), tmp_path / "nowhere" / "y.gif")


def test_too_many_frames_are_rejected_with_a_remedy(tmp_path):
    x = Value(1.0, "x")
    for _ in range(501):
        x = x.tanh()
    with pytest.raises(ValueError, match=r"1,004 frames, more than 1,000; pass collapse="):
        animate(x, tmp_path / "x.gif", max_nodes=None)


def test_too_many_pixels_are_rejected_with_a_scale_that_works(tmp_path):
    with pytest.raises(
        ValueError,
        match=r"more than 150,000,000 pixels in all; pass scale=0\.\d+, or pass collapse=",
    ):
        animate(network(samples=3), tmp_path / "x.gif")


@pytest.mark.parametrize("missing", ["resvg_py", "PIL"])
def test_without_the_libraries_the_error_says_what_to_install_and_no_file_changes(
    missing, tmp_path, monkeypatch
):
    (tmp_path / "y.gif").write_text("as it was")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(RenderError, match="pip install Pillow resvg-py"):
        animate(small(), tmp_path / "y.gif")
    assert (tmp_path / "y.gif").read_text() == "as it was"


def test_without_a_layout_engine_the_error_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "pygraphviz", None)
    with pytest.raises(RenderError, match="no layout engine"):
        animate(small(), tmp_path / "y.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("y", "option", "message"), [
    (small(), {"max_frames": 3}, "max_frames is for a History, not for a graph"),
    (small(), {"features": (0, 1)}, "features is for a History, not for a graph"),
    ("history", {"collapse": "layers"}, "collapse is for a graph, not for a History"),
    ("history", {"max_nodes": 3}, "max_nodes is for a graph, not for a History"),
    ("history", {"max_frames": 1}, "max_frames must be a whole number from 2 to 1,000, not 1"),
    ("history", {"features": (0, 2)}, "feature must be a whole number from 0 to 1, not 2"),
    ("history", {"feature_names": ["x"]}, "animate: feature_names must have 2 names"),
])
def test_animate_rejects_options_for_another_kind(y, option, message):
    with pytest.raises(ValueError, match=message):
        animate(moons() if y == "history" else y, **option)


# ---- a training run


def trained(model, loss, X, y, **options):
    adam = optim.Adam(model.parameters(), lr=0.05)
    return fit(model, loss, X, y, optimizer=adam, batch_size=10, rng=0, **options)


def moons(epochs=2, record_every=1):
    X, y = data.moons(20, noise=0.1, rng=0)
    model = nn.MLP(2, [3, 1], rng=1)
    return trained(model, nn.hinge, X, y, epochs=epochs, record_every=record_every)


def iris():
    flowers = data.iris()
    model = nn.MLP(4, [3], rng=1)
    return trained(model, nn.cross_entropy, flowers.X, flowers.y, epochs=1, record_every=5)


def line():
    X, y = data.line(20, rng=0)
    return trained(nn.MLP(1, [3, 1], rng=1), nn.mse, X, y, epochs=2, record_every=1)


def plane():
    X = [[0.1 * i, 0.3 * j] for i in range(4) for j in range(4)]
    y = [a - b for a, b in X]
    return trained(nn.MLP(2, [1], rng=1), nn.mse, X, y, epochs=2, record_every=1)


@pytest.mark.parametrize(("make", "frames", "what"), [
    (moons, 4, "what the model decides"),
    (iris, 4, "what the model decides"),
    (line, 4, "what the model computes"),
    (plane, 4, "predictions against targets"),
])
def test_a_training_run_is_animated_next_to_its_loss(make, frames, what, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    history = make()
    made = viz.animate(history, scale=1)
    found = frames_of(made.save(tmp_path / "run.webp"))
    assert [duration for _, duration in found] == [300, *[150] * (frames - 2), 15 * 150]
    assert what in made.name
    assert f"from {history.loss[0]:.3g} to {history.loss[-1]:.3g}" in made.name
    width, height = found[0][0].size
    for i, ((before, _), (after, _)) in enumerate(pairwise(found)):
        change = ImageChops.difference(before, after)
        halves = [(0, 40, width // 2, height), (width // 2, 40, width, height)]
        assert all(change.crop(half).getbbox() for half in halves), i  # the model and the loss move
        # the axes do not
        assert change.crop((0, height - 22, width, height)).getbbox() is None
    content = viz.animate(history, tmp_path / "again.webp", scale=1).read_bytes()
    assert content == (tmp_path / "run.webp").read_bytes()


def test_an_animated_boundary_has_the_colors_of_the_predictions(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    X = [[-1.0, 0.0], [1.0, 0.0]] * 4
    w = [Value(-3.0, "w0"), Value(0.0, "w1")]

    def model(x):
        return w[0] * x[0] + w[1] * x[1]

    sgd = optim.SGD(w, lr=6.0)
    history = fit(model, nn.hinge, X, [-1, 1] * 4, optimizer=sgd, epochs=2, record_every=1)
    (first, _), (last, _) = frames_of(viz.animate(history, tmp_path / "run.apng", scale=1))
    left, right = (110, 150), (300, 150)  # left and right of the boundary, next to no sample
    for picture, is_blue in ((first, (False, True)), (last, (True, False))):
        colors = [picture.getpixel(place) for place in (left, right)]
        assert tuple(blue > red for red, _, blue in colors) == is_blue, colors
        assert all(red != blue for red, _, blue in colors), colors


def test_a_long_training_run_is_animated_with_few_frames():
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    assert len(viz.animate(moons(epochs=30), scale=0.3).pictures) == 40
    assert len(viz.animate(moons(epochs=30), scale=0.3, max_frames=5).pictures) == 5


def test_a_run_that_diverged_is_animated():
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    w = Value(1.0, "w")
    with pytest.warns(TrainingWarning, match="the loss rose"):
        history = fit(
            lambda x: w * x, nn.mse, [1.0, 2.0], [2.0, 4.0], optimizer=optim.SGD([w], lr=1e30),
            epochs=5, record_every=1,
        )
    assert len(viz.animate(history, scale=0.5).pictures) == 5


def test_a_history_without_snapshots_is_rejected_with_the_remedy():
    with pytest.raises(ValueError, match=r"animate: .* record them with fit\(.*record_every="):
        viz.animate(moons(record_every=None))


def test_a_model_without_a_picture_is_rejected_with_the_reason():
    w = Value(1.0, "w")
    history = fit(
        lambda word: w * len(word), nn.hinge, ["a", "bb"], [-1, 1], optimizer=optim.SGD([w], 0.1),
        epochs=1, record_every=1,
    )
    with pytest.raises(ValueError, match=r"but the samples are not rows .* viz\.explore\(history"):
        viz.animate(history)


def test_without_matplotlib_the_error_of_a_training_run_says_so(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.axes", None)
    with pytest.raises(RenderError, match="pip install matplotlib"):
        viz.animate(moons())


# ---- in a notebook, and while one waits


def test_without_a_path_the_animation_is_shown_in_a_notebook_with_words(tmp_path):
    made = viz.animate(small(), scale=1)
    assert repr(made) == (
        "<Animation of the computation of y and its gradients, step by step: 5 frames, 7.2 s; "
        '.save("y.gif") writes it>'
    )
    bundle = made._repr_mimebundle_()
    assert bundle["text/plain"] == repr(made)
    source = re.search(r'src="data:image/gif;base64,([^"]+)"', bundle["text/html"])
    content = base64.b64decode(source[1])
    assert content == made.save(tmp_path / "y.gif").read_bytes()
    assert 'alt="animation of the computation of y and its gradients' in bundle["text/html"]
    assert viz.animate(small(), tmp_path / "z", scale=1).read_bytes() == content


def test_progress_is_shown_on_a_terminal_only():
    pty = pytest.importorskip("pty")
    code = "import viz; from tinygrad_edu import Value; print(viz.animate(Value(2.0, 'a') * 3))"
    master, slave = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code], stderr=slave, stdout=subprocess.PIPE, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"},
    )
    os.close(slave)
    assert done.stdout.startswith("<Animation of ")
    assert "drawing the frames" in os.read(master, 100_000).decode()
    os.close(master)
    assert run_python(code).stderr == ""


# ---- fonts


def animate_with_fonts(folder, tmp_path, hidden):
    """Makes an animation in a process that has only the fonts in ``folder`` and not the modules
    ``hidden``."""
    settings = tmp_path / "fonts.conf"
    settings.write_text('<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>'
                        f"<dir>{folder}</dir></fontconfig>")
    code = (
        "import sys\nfor name in sys.argv[2:]: sys.modules[name] = None\n"
        "import viz; from tinygrad_edu import Value; viz.animate(Value(2.0, 'a'), sys.argv[1], "
        "scale=1)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FONTCONFIG_FILE": str(settings)}
    return subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "y.gif"), *hidden],
        env=environment,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def dark_pixels(path):
    """Counts the pixels of the caption's letters in the first frame."""
    picture = frames_of(path)[0][0].convert("L")
    return sum(
        picture.crop((0, picture.height - 40, picture.width, picture.height - 8)).histogram()[:100]
    )


linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only fontconfig can be told to find no font"
)


@linux
def test_without_any_font_the_error_says_what_to_install(tmp_path):
    done = animate_with_fonts(tmp_path / "none", tmp_path, ["matplotlib"])
    assert done.returncode == 1
    assert "RenderError: no font was found to write text with" in done.stderr
    assert "pip install matplotlib" in done.stderr
    assert not (tmp_path / "y.gif").exists()


@linux
def test_font_of_matplotlib_is_used_if_the_system_has_none(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    done = animate_with_fonts(tmp_path / "none", tmp_path, [])
    assert done.returncode == 0, done.stderr
    assert dark_pixels(tmp_path / "y.gif") > 50


@linux
def test_another_sans_serif_font_of_the_system_is_used(tmp_path):
    matplotlib = pytest.importorskip("matplotlib", reason="needs the extra `plots`")
    done = animate_with_fonts(
        os.path.join(matplotlib.get_data_path(), "fonts", "ttf"), tmp_path, ["matplotlib"]
    )
    assert done.returncode == 0, done.stderr
    assert dark_pixels(tmp_path / "y.gif") > 50


def test_an_animated_png_says_how_many_frames_it_has(tmp_path):
    content = animate(small(), tmp_path / "y.apng", scale=0.5).read_bytes()
    start = content.index(b"acTL")
    assert struct.unpack(">II", content[start + 4:start + 12]) == (5, 0)
