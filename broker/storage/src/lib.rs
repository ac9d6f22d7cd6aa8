//! The log on disk: segments, indexes, producer state, recovery. No tokio, no kube, no wire schemas.
