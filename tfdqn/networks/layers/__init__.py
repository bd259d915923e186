"""Layers by factories: plain, of an ensemble, divided over devices; a torso is written once for all of them."""
