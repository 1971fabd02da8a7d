"""HTML pages that need no network: the explorer of a graph, and the player of a training run.

`page` has what all pages share.  A page of more than a few files has a folder, as `training` has.
"""
