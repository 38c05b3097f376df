"""Bricks that know no method and no data set."""
