"""Data sets as uint8 images: `sources.load` opens one, `feed.make_feed` serves it."""
