"""Runs the modules of pages in node: the same files that a page contains."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from helpers import ROOT

from tinygrad_edu import Value, record
from tinygrad_edu.engine.primitive import lookup
from viz.pages.live.program import rows
from viz.pages.scripts import joined_modules

PAGES = ROOT / "viz" / "pages"

_SCRIPT = """
import {{ readFileSync }} from "node:fs"
import {{ Cursor }} from "{pages}/explorer/cursor.js"
import * as engine from "{pages}/live/engine.js"
import {{ Random }} from "{pages}/live/random.js"
import {{ Recording }} from "{pages}/live/recording.js"
import * as texts from "{pages}/live/texts.js"
import {{ ROWS, WRONG_RULES }} from "{folder}/rows.js"

const given = JSON.parse(readFileSync("{folder}/given.json", "utf-8"))
const run = (given) => {{ {body} }}
process.stdout.write(JSON.stringify(run(given)))
"""


def in_node(folder, body, given, ops=()):
    """Returns what the body of a function returns, which has ``given`` and the modules above.

    ops: the rows that ``ROWS`` has.
    """
    folder = Path(folder)
    (folder / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (folder / "rows.js").write_text(rows(ops), encoding="utf-8")
    (folder / "given.json").write_text(json.dumps(given), encoding="utf-8")
    return _run(folder, _SCRIPT.format(pages=PAGES.as_posix(), folder=folder.as_posix(), body=body))


def joined_in_node(folder, imports, body, given, ops):
    """Returns what the body of a function returns, which has ``given`` and what is imported.

    imports: lines as in a module of ``viz/pages``.
    ops: the rows of ``live/rows.js``.
    """
    text = f"{imports}\nconst run = (given) => {{ {body} }}\n"
    script = joined_modules(PAGES, "test.js", {"test.js": text, "live/rows.js": rows(ops)})
    head = f"""import {{ readFileSync }} from "node:fs"
        const given = JSON.parse(readFileSync("{Path(folder).as_posix()}/given.json", "utf-8"))"""
    (Path(folder) / "given.json").write_text(json.dumps(given), encoding="utf-8")
    (Path(folder) / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    return _run(folder, f"{head}\n{script}\nprocess.stdout.write(JSON.stringify(run(given)))")


def _run(folder, script):
    if shutil.which("node") is None:
        pytest.skip("needs node")
    path = Path(folder) / "run.js"
    path.write_text(script, encoding="utf-8")
    done = subprocess.run(["node", path], capture_output=True, encoding="utf-8", timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


STEPS = """
const { data, ideas = [""] } = given
const recording = new Recording(data.program, ROWS, WRONG_RULES)
const cursor = new Cursor(data, recording)
recording.change(new Map(given.changes ?? []))
return ideas.map((idea) => {
  recording.follow(idea)
  cursor.restart()
  cursor.seek(cursor.steps.length)
  return {
    start: recording.start(),
    verdict: recording.verdict(),
    marks: [...recording.marks],
    total: recording.events.length,
    forward: cursor.forward,
    data: recording.graph.data.map(texts.repr),
    gradients: recording.gradients().map(texts.repr),
    right: [...recording.right].map(texts.repr),
    nodes: data.nodes.map((_, node) => [cursor.data(node), cursor.grad(node)]),
    derivatives: data.edges.map((_, edge) => cursor.derivative(edge)),
    steps: cursor.steps.map((step) => ({
      number: step.number, node: step.node, edge: step.edge, ...step.shown, flow: step.flow,
      flowed: texts.labelNumber(step.flowed), ...step.words
    }))
  }
})
"""


def steps_of(data, folder, ideas=("",), changes=()):
    """Returns what the page with this data shows at its end, for each idea of the backward pass.

    changes: pairs of the position of a leaf and its number.
    """
    given = {"data": data, "ideas": list(ideas), "changes": list(changes)}
    return in_node(folder, STEPS, given, data["program"]["rows"])


def with_leaves(y, numbers):
    """Returns the graph, computed in Python with other numbers of leaves, by their positions."""
    made = []
    for i, node in enumerate(record(y).nodes):
        if node.constant:
            made.append(node.data)
        elif not node.op:
            made.append(Value(numbers.get(i, node.data), node.label))
        else:
            made.append(lookup(node.op)(*[made[arg] for arg in node.args]))
            made[-1].label = node.label
    return made[-1]
