//! What a store promises: the trait, its errors, the conformance suite
