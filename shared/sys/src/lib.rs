//! The few system calls that need unsafe, each with the reason why it is sound
