//! The store on a local file system: durable, atomic, all or nothing
