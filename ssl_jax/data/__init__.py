"""Data sets as uint8 images: `datasets.load` opens one, `feed.make_feed` serves it."""
