def show(console, quick): pass
