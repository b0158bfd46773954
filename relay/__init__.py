"""The relay: other hosts' trades into a hub's journal. The journals are the truth; what carries the trades may fail."""
