//! Serves requests: HTTP, TLS, the pipeline, the admin API.
