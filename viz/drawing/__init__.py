"""From a graph to a picture: records, DOT text, and the layout engine that draws it."""
