//! Floor 2: the pure middle: classify, sample, protect, route.
