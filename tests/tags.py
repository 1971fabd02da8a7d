"""Reading the tags of HTML."""

from html.parser import HTMLParser


class Tags(HTMLParser):
    """Collects the tags of a piece of HTML, and checks that they are closed."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.found = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag != "img":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def images(text):
    return [attrs["src"] for tag, attrs in Tags(text).found if tag == "img"]
