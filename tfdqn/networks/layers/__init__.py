"""Layer factories: plain, for an ensemble, or split over devices. A torso is written once for all of them."""
