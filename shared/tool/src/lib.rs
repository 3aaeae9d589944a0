//! The frame of a program: words, failures, streams, producers, settings, signals, progress, limits
