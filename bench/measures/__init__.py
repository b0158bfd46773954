"""The measurements of ``make bench``, one a module."""

from typing import Final

from bench.measure import Measure
from bench.measures import batch, count, delay, feed, memory, post, restart, scrape

MEASURES: Final[tuple[Measure, ...]] = (
    post.POST,
    post.FORM,
    batch.BATCH,
    count.COUNT,
    restart.RESTART,
    delay.DELAY,
    scrape.SCRAPE,
    feed.FEED,
    memory.MEMORY,
)
