//! Compression as Read and Write adapters
