"""The playground: a page that trains networks, and shows every scalar of them."""
