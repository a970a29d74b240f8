//! Floor 5: health, status and metrics over HTTP.
