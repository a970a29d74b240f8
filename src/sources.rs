//! Floor 3: where telemetry comes in.
