"""Animations: frames, durations, pixels, fonts and limits; a file appears whole or not at all."""

import os
import random
import struct
import subprocess
import sys

import pytest
from helpers import ROOT, run_python

from tinygrad_edu import Stepper, Value, math, nn, record
from tinygrad_edu.errors import RenderError
from tinygrad_edu.examples import lecture_expression, lecture_neuron
from viz.animation.animate import MAX_WIDTH, animate, to_image, to_png
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
        TypeError, match=r"animate: recording must be a Value, .* or a Stepper, not float \(3.0\)"
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
