/* The figure of each lesson. */

import { ideaFigure, nudgeFigure, pathFigure } from "./graphs.js"
import { rateFigure, updateFigure } from "./lines.js"
import { boundaryFigure, depthFigure } from "./networks.js"
import { batchFigure, raceFigure } from "./steps.js"
import { costFigure, pictureFigure } from "./tables.js"
import { valleyFigure } from "./valleys.js"

/** What makes the figure of a lesson, in its place, from its data.
 * @type {Record<string, (place: HTMLElement, data: any) => import("./figure.js").Figure>}
 */
export const FIGURES = {
  forward: nudgeFigure,
  chain: pathFigure,
  backward: ideaFigure,
  cost: costFigure,
  descent: updateFigure,
  rate: rateFigure,
  start: valleyFigure,
  batches: batchFigure,
  optimisers: raceFigure,
  depth: depthFigure,
  generalise: boundaryFigure,
  uses: pictureFigure
}
