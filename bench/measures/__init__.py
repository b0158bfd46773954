"""The measurements of ``make bench``, one a module."""

from bench.measure import Measure
from bench.measures import count, post

MEASURES: tuple[Measure, ...] = (post.POST, post.FORM, count.COUNT)
